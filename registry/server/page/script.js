"use strict";
// Everything works without this: it adds copying, and filtering while one types.
function selectText(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}
async function copyText(element) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch (refused) { /* the old way may be allowed */ }
  }
  selectText(element);
  return document.execCommand("copy");
}
for (const button of document.querySelectorAll("button.copy")) {
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copyText(document.getElementById(button.dataset.from));
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}
const filter = document.querySelector("input[type=search]");
if (filter) {
  const rows = [...document.querySelectorAll("tr[data-name]")];
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
      shown += row.hidden ? 0 : 1;
    }
    document.getElementById("shown").textContent = wanted ? shown + " on this page match" : "";
  });
}
