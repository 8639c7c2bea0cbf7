// The nodejs runtime: serves `function main(params)` of a JavaScript file by the OpenWhisk action
// contract, POST /init and POST /run on one port, or the single endpoint POST / with
// __OW_RUNTIME_PLATFORM=knative. Runs from Node.js 12 up without further packages. The user's code
// is baked into the image; code sent with /init (text, or a base64 zip) works as well.
//
// One activation at a time, unless the platform says __OW_ALLOW_CONCURRENT=true: then the __OW_*
// variables are those of the activation that came last.
//
// Environment: FNIMAGE_ACTION_MAIN (source file), FNIMAGE_ACTION_FUNCTION (default main),
// FNIMAGE_PORT (default 8080), FNIMAGE_ADDRESS (default: all). Everything else belongs to the
// function and reaches it untouched.
"use strict";

const fs = require("fs");
const http = require("http");
const Module = require("module");
const os = require("os");
const path = require("path");
const { pathToFileURL } = require("url");

const END_OF_ACTIVATION = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n";
const REINIT = "Cannot initialize the action more than once.";
const MAX_BODY = 72 << 20; // 48 MiB of code are 64 MiB in base64; the rest is for env and escapes
const MAX_UNPACKED = 512 << 20; // what a zip sent with /init may grow to
const IDLE_MILLISECONDS = 30_000; // a client that sends nothing for so long is dropped
const DRAIN_MILLISECONDS = 5_000; // how long answers may take to leave after SIGTERM

/** A failure that the caller is told about: HTTP status and message. */
class ActionError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// User code may replace or close what it finds; whoever collects the logs waits for the markers.
const write = [process.stdout, process.stderr].map((stream) => stream.write.bind(stream));
const exit = process.exit.bind(process);

function report(text) {
  try {
    write[1](`${text}\n`);
  } catch {
    // nobody reads it any more
  }
}

function markEnd() {
  const marked = write.map(
    (out) =>
      new Promise((resolve) => {
        try {
          out(END_OF_ACTIVATION, () => resolve());
        } catch {
          resolve(); // nobody collects the logs any more; the answer still counts
        }
      })
  );
  return Promise.all(marked);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseRequest(body) {
  let request = {};
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(body);
    request = text.trim() === "" ? {} : JSON.parse(text);
  } catch (error) {
    throw new ActionError(400, `the request body is not valid JSON: ${error.message}`);
  }
  if (!isObject(request)) {
    throw new ActionError(400, "the request body must be a JSON object");
  }
  return request;
}

/** The text OpenWhisk gives a parameter in the environment; mostly a string already. */
function envText(value) {
  if (typeof value === "string") {
    return value;
  }
  return value === null || value === undefined ? "" : JSON.stringify(value);
}

function setEnvironment(entries) {
  for (const [key, value] of Object.entries(entries)) {
    const text = envText(value);
    if (key === "" || /[=\0]/.test(key) || text.includes("\0")) {
      throw new ActionError(400, `the environment has an unusable entry: ${JSON.stringify(key)}`);
    }
    process.env[key] = text;
  }
}

function owEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => key.startsWith("__OW_")));
}

// ---- Code

/** The files of a zip (APPNOTE.TXT 4.3): [name, bytes]. */
function readZip(zip) {
  const END = 0x06054b50;
  const ENTRY = 0x02014b50;
  const { inflateRawSync } = require("zlib"); // baked-in code starts sooner without
  let end = zip.length - 22;
  while (end >= 0 && zip.readUInt32LE(end) !== END) {
    --end;
  }
  const files = [];
  let unpacked = 0;
  let at = zip.readUInt32LE(end + 16);
  for (let left = zip.readUInt16LE(end + 10); left > 0; --left) {
    if (zip.readUInt32LE(at) !== ENTRY) {
      throw new RangeError("no directory entry where one should be");
    }
    const method = zip.readUInt16LE(at + 10);
    const packedSize = zip.readUInt32LE(at + 20);
    const size = zip.readUInt32LE(at + 24);
    const nameSize = zip.readUInt16LE(at + 28);
    const local = zip.readUInt32LE(at + 42);
    const name = zip.toString("utf8", at + 46, at + 46 + nameSize);
    at += 46 + nameSize + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
    unpacked += size;
    if (unpacked > MAX_UNPACKED) {
      throw new ActionError(413, `the zip unpacks to more than ${MAX_UNPACKED} bytes`);
    }
    if (method !== 0 && method !== 8) {
      throw new RangeError(`${name} is compressed in a way that is not supported`);
    }
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    const packed = zip.subarray(start, start + packedSize);
    const bytes = method === 0 ? packed : inflateRawSync(packed, { maxOutputLength: size || 1 });
    if (!name.endsWith("/")) {
      files.push([name, bytes]);
    }
  }
  return files;
}

function newDirectory() {
  return fs.mkdtempSync(path.join(os.tmpdir(), "action-"));
}

/** Stores a zip that came with /init and returns its main file. */
function unpackZip(code) {
  const directory = newDirectory();
  let files = [];
  try {
    files = readZip(Buffer.from(code, "base64"));
  } catch (error) {
    throw error instanceof ActionError
      ? error
      : new ActionError(502, `binary code must be a base64 zip: ${error.message}`);
  }
  for (const [name, bytes] of files) {
    const target = path.resolve(directory, name);
    if (!target.startsWith(directory + path.sep)) {
      throw new ActionError(502, `the zip has a file outside of itself: ${name}`);
    }
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, bytes);
  }
  return mainFile(directory);
}

/** A file, or what the package.json of a directory names, or its index.js. */
function mainFile(place) {
  if (!fs.existsSync(place) || !fs.statSync(place).isDirectory()) {
    return place;
  }
  const description = path.join(place, "package.json");
  let main = "index.js";
  if (fs.existsSync(description)) {
    main = JSON.parse(fs.readFileSync(description, "utf8")).main || main;
  }
  const file = path.join(place, main);
  if (!fs.existsSync(file)) {
    throw new ActionError(502, `there is neither a package.json with a main file nor ${main}`);
  }
  return file;
}

/** As Node.js decides: by the file's ending and the next package.json above it. */
function isEsModule(file) {
  if (!file.endsWith(".js")) {
    return file.endsWith(".mjs");
  }
  for (let directory = path.dirname(file); ; directory = path.dirname(directory)) {
    const description = path.join(directory, "package.json");
    if (fs.existsSync(description)) {
      return JSON.parse(fs.readFileSync(description, "utf8")).type === "module";
    }
    if (directory === path.dirname(directory)) {
      return false;
    }
  }
}

/** A script's own function needs no export, as in OpenWhisk. */
function runScript(file, name) {
  const script = new Module(file, null);
  script.filename = file;
  script.paths = Module._nodeModulePaths(path.dirname(file));
  const text = fs.readFileSync(file, "utf8").replace(/^#!.*/, "");
  const found = "__fnimage_function__";
  script._compile(
    `${text}\n;try { if (typeof ${name} === "function") module.${found} = ${name}; } catch {}`,
    file
  );
  return script[found] ? { [name]: script[found] } : script.exports;
}

async function loadFunction(file, name) {
  if (!/^[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*$/.test(name)) {
    throw new ActionError(502, `${name} is not the name of a function`);
  }
  let exported = isEsModule(file) ? await import(pathToFileURL(file)) : runScript(file, name);
  if (exported[name] === undefined && exported.default) {
    exported = name === "main" && typeof exported.default === "function"
      ? { main: exported.default }
      : exported.default;
  }
  if (name === "main" && typeof exported === "function" && typeof exported.main !== "function") {
    return exported; // module.exports = function
  }
  const found = exported[name] || name.split(".").reduce((part, key) => part && part[key], exported);
  if (typeof found !== "function") {
    throw new ActionError(502, `${path.basename(file)} has no function named ${name}`);
  }
  return found;
}

// ---- The action

class Action {
  constructor() {
    this.mainFile = process.env.FNIMAGE_ACTION_MAIN || "";
    this.function = null;
    this.initEnvironment = {}; // the __OW_* that hold between activations
  }

  async init(value) {
    if (this.function) {
      report(REINIT);
      throw new ActionError(403, REINIT);
    }
    const { env, code, main } = value;
    if (!isObject(value) || !(env === undefined || env === null || isObject(env))) {
      throw new ActionError(400, "value and value.env must be JSON objects");
    }
    setEnvironment(env || {});
    this.initEnvironment = owEnvironment();
    const texts = [code || "", main || "main"];
    if (texts.some((text) => typeof text !== "string")) {
      throw new ActionError(400, "value.code and value.main must be strings");
    }
    this.function = await this.load(texts[0], Boolean(value.binary), texts[1]);
    return { ok: true };
  }

  load(code, binary, name) {
    if (code && binary) {
      return loadFunction(unpackZip(code), name);
    }
    if (code) {
      const file = path.join(newDirectory(), "main__.js");
      fs.writeFileSync(file, code);
      return loadFunction(file, name);
    }
    if (!this.mainFile) {
      throw new ActionError(502, "the image has no function and /init sent no code");
    }
    // The platform fills in "main" when nobody chose a name: then the image's own choice holds.
    const chosen = process.env.FNIMAGE_ACTION_FUNCTION || "main";
    return loadFunction(mainFile(this.mainFile), name === "main" ? chosen : name);
  }

  async run(value, activation) {
    if (!this.function) {
      throw new ActionError(500, "the action is not initialized: POST /init first");
    }
    const argument = value === undefined || value === null ? {} : value;
    if (typeof argument !== "object") {
      throw new ActionError(400, "value must be a JSON object or array");
    }
    this.setActivation(activation);
    const result = await this.call(argument);
    if (result === undefined) {
      return {}; // "return;"
    }
    if (typeof result !== "object" || result === null) {
      const kind = result === null ? "null" : typeof result;
      throw new ActionError(502, `the action must return an object or an array, not ${kind}`);
    }
    return result;
  }

  /** A rejection with anything but an Error is the function's own answer. */
  async call(argument) {
    try {
      return await this.function(argument);
    } catch (error) {
      if (error instanceof Error) {
        throw error;
      }
      return { error: error === undefined || error === null ? {} : error };
    }
  }

  /** Exports the activation as __OW_*; nothing of the activation before it stays. */
  setActivation(context) {
    for (const key of Object.keys(owEnvironment())) {
      delete process.env[key];
    }
    setEnvironment(this.initEnvironment);
    const entries = Object.entries(context).map(([key, value]) => [`__OW_${key.toUpperCase()}`, value]);
    setEnvironment(Object.fromEntries(entries));
  }

  async single(request) {
    const activation = request.activation || {};
    if (!isObject(activation)) {
      throw new ActionError(400, "activation must be a JSON object");
    }
    if ("init" in request) {
      await this.init(request.init || {});
      if (!("activation" in request) && !("value" in request)) {
        return { ok: true };
      }
    } else if (!this.function) {
      await this.init({});
    }
    return this.run(request.value, activation);
  }
}

const action = new Action();
const operations =
  process.env.__OW_RUNTIME_PLATFORM === "knative"
    ? { "/": (request) => action.single(request) }
    : {
        "/init": (request) => action.init(request.value || {}),
        "/run": ({ value, ...activation }) => action.run(value, activation),
      };

/** Runs an operation and turns whatever happens into [status, text]. */
async function answer(operation, body) {
  try {
    if (body instanceof Error) {
      throw body;
    }
    return [200, JSON.stringify(await interruptible(operation(parseRequest(body))))];
  } catch (error) {
    if (error instanceof ActionError) {
      return [error.status, JSON.stringify({ error: error.message })];
    }
    report((error && error.stack) || error);
    return [502, JSON.stringify({ error: String(error) })];
  }
}

// What user code throws outside of its promise (in a timer, for one) ends the activation; without
// one it is reported.
const fail = new Set();

function interruptible(result) {
  return new Promise((resolve, reject) => {
    fail.add(reject);
    Promise.resolve(result)
      .then(resolve, reject)
      .finally(() => fail.delete(reject));
  });
}

function onStrayError(error) {
  if (fail.size === 0) {
    report((error && error.stack) || error);
  }
  for (const reject of fail) {
    reject(error instanceof Error ? error : new Error(String(error)));
  }
}

// ---- HTTP

const isConcurrent = process.env.__OW_ALLOW_CONCURRENT === "true";
let stopping = false;
let turn = Promise.resolve(); // of the requests before

async function perform(where, body) {
  const result = stopping
    ? [503, JSON.stringify({ error: "shutting down" })]
    : await answer(operations[where], body);
  // Markers follow every activation and every failed /init; a second /init is neither.
  if (where !== "/init" || ![200, 403].includes(result[0])) {
    await markEnd();
  }
  return result;
}

function inTurn(where, body) {
  if (isConcurrent && where === "/run") {
    return perform(where, body);
  }
  turn = turn.then(() => perform(where, body));
  return turn;
}

function send(response, status, text, headers = {}) {
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(text),
    Connection: "close",
    ...headers,
  });
  response.end(text);
}

/** The whole body, or the error that the caller is to be told. */
function readBody(request) {
  const length = request.headers["content-length"];
  if (request.headers["transfer-encoding"] !== undefined || length === undefined) {
    return Promise.resolve(new ActionError(411, "the request needs a Content-Length"));
  }
  if (Number(length) > MAX_BODY) {
    return Promise.resolve(new ActionError(413, `the request is larger than ${MAX_BODY} bytes`));
  }
  return new Promise((resolve) => {
    const blocks = [];
    request.on("data", (block) => blocks.push(block));
    request.on("end", () => resolve(Buffer.concat(blocks)));
    request.on("error", () => resolve(null)); // its socket gets a clientError, too
  });
}

async function onRequest(request, response) {
  const where = request.url;
  const known = Object.prototype.hasOwnProperty.call(operations, where);
  if (request.method !== "POST" || !known) {
    const status = known ? 405 : 404;
    send(response, status, JSON.stringify({ error: http.STATUS_CODES[status] }), known ? { Allow: "POST" } : {});
    return;
  }
  request.socket.place = where;
  const body = await readBody(request);
  request.socket.place = undefined;
  if (body === null) {
    return;
  }
  if (stopping) {
    send(response, 503, JSON.stringify({ error: "shutting down" }));
    return;
  }
  const [status, text] = await inTurn(where, body);
  send(response, status, text);
  request.resume();
}

/** What Node.js could not read as a request. */
async function onClientError(error, socket) {
  const raw = error.rawPacket ? error.rawPacket.toString("latin1") : "";
  const line = /^(\S+) (\S+) HTTP\/1/.exec(raw);
  const unknownMethod = error.code === "HPE_INVALID_METHOD" && line;
  const status = unknownMethod ? 501 : 400;
  const where = socket.place || (line && line[1] === "POST" ? line[2] : "");
  if (Object.prototype.hasOwnProperty.call(operations, where)) {
    await markEnd();
  }
  if (socket.destroyed || !socket.writable) {
    return;
  }
  const text = JSON.stringify({ error: status === 501 ? "Not Implemented" : "the request is damaged" });
  socket.end(
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`
  );
}

function listen(server, host) {
  server.once("error", (error) => {
    if (host === "::" && error.code !== "EADDRINUSE") {
      listen(server, "0.0.0.0"); // where IPv6 is switched off
      return;
    }
    report(`cannot listen: ${error.message}`);
    exit(1);
  });
  server.listen(Number(process.env.FNIMAGE_PORT || 8080), host);
}

function serve() {
  const server = http.createServer({ requireHostHeader: false }, onRequest);
  server.requestTimeout = IDLE_MILLISECONDS;
  server.headersTimeout = IDLE_MILLISECONDS;
  server.keepAliveTimeout = 1;
  server.on("clientError", onClientError);
  process.on("uncaughtException", onStrayError);
  process.on("unhandledRejection", onStrayError);
  process.exit = (code) => {
    throw new Error(`the function called process.exit(${code === undefined ? "" : code})`);
  };
  process.on("SIGTERM", () => {
    stopping = true;
    turn.then(() => {
      server.close(() => exit(0));
      setTimeout(() => exit(0), DRAIN_MILLISECONDS).unref();
    });
  });
  listen(server, process.env.FNIMAGE_ADDRESS || "::");
}

serve();
