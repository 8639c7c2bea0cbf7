// As OpenWhisk's Node.js runtimes serve actions: express. stock_proxy.js FILE
const express = require("express");
const proxy = express();
let main;

proxy.use(express.json());
proxy.post("/init", (request, response) => {
  main = require(process.argv[2]).main;
  response.json({ ok: true });
});
proxy.post("/run", (request, response) => {
  Promise.resolve(main(request.body.value)).then((result) => response.json(result));
});
proxy.listen(process.env.FNIMAGE_PORT);
