"use strict";
// From an event of a trace to a few words, and to a row of the diagram.

function namesOf(found) {
  const begun = (found.events || []).find((event) => event.event === "begun");
  return begun ? begun.names : {};
}

/** Where the calls of cases for clients go. */
const CLIENTS_ORIGIN = "http://origin.invalid";

/** A URL as the case has it. */
function shortUrl(url, names) {
  const text = String(url);
  for (const origin of [names.origin, CLIENTS_ORIGIN]) {
    if (origin && text.startsWith(origin)) return text.slice(origin.length) || "/";
  }
  for (const name of ["origin2", "closed"]) {
    if (names[name] && text.startsWith(names[name])) return name + text.slice(names[name].length);
  }
  return text;
}

/** The body that a message carries: its bytes, or the first of them. */
function bodyOf(message) {
  const { params = {}, result = {} } = message;
  const text = [params && params.deltaBase64, params && params.bodyBase64, result && result.bodyBase64, message.dataBase64, message.bodyBase64].find((body) => typeof body === "string");
  return text === undefined ? null : decode(text, message.bytes);
}

function decode(text, known) {
  const digest = /^\$sha256 [0-9a-f]+ (\d+) (\S*)$/.exec(text);
  try {
    const bytes = Uint8Array.from(atob(digest ? digest[2] : text), (c) => c.charCodeAt(0));
    const length = digest ? Number(digest[1]) : typeof known === "number" ? known : bytes.length;
    return { bytes, length, cut: length > bytes.length };
  } catch {
    return null;
  }
}

/** Bytes as text where they are UTF-8, and escaped where not. */
function shownBytes(bytes, most) {
  const head = bytes.subarray(0, most);
  try {
    return plain(new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true }));
  } catch {
    return Array.from(head, (byte) => byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "\\x" + byte.toString(16).padStart(2, "0")).join("");
  }
}

function bodyLabel(text, known) {
  if (typeof text !== "string") return "";
  const body = decode(text, known);
  if (!body) return " not base64";
  if (!body.length) return "";
  return " " + JSON.stringify(clip(shownBytes(body.bytes, 64), 22)) + " (" + body.length + " B)";
}

function errorLabel(error) {
  if (typeof error !== "object" || !error) return say(error);
  const kind = error.data && typeof error.data === "object" && error.data.kind;
  return say(error.code) + (kind ? " " + say(kind) : "") + " " + say(error.message);
}

/** A member of a message, which may be anything, or missing. */
function say(value) {
  return value === undefined ? "(none)" : typeof value === "string" ? value : JSON.stringify(value);
}

/** A frame in a few words, and whether it tells an error. */
function frameLabel(text, names) {
  let message = null;
  try { message = JSON.parse(text); } catch { return { text: "not JSON: " + text, error: true }; }
  if (typeof message !== "object" || !message || Array.isArray(message)) return { text: "no message: " + text, error: true };
  const { id, method, params, result, error } = message;
  const number = id === undefined ? "" : " #" + say(id);
  const member = params && typeof params === "object" ? params : {};
  if (method === "http/request") {
    const stream = member.streamResponse ? " stream " + say(member.requestId) : "";
    const timeout = member.timeoutMs === undefined || member.timeoutMs === null ? "" : " timeout " + say(member.timeoutMs) + " ms";
    return { text: "http/request" + number + " " + say(member.method) + " " + shortUrl(say(member.url), names) + stream + timeout + bodyLabel(member.bodyBase64) };
  }
  if (method === "http/request/bodyDelta") {
    const end = (member.done ? " done" : "") + (member.error ? " error " + errorLabel(member.error) : "");
    return { text: "delta " + say(member.requestId) + " seq " + say(member.seq) + bodyLabel(member.deltaBase64) + end, error: Boolean(member.error) };
  }
  if (method !== undefined) {
    const call = member.requestId === undefined ? "" : " " + say(member.requestId) + (member.bytes === undefined ? "" : " " + say(member.bytes) + " bytes");
    return { text: say(method) + number + call };
  }
  if (error !== undefined) return { text: "error" + number + " " + errorLabel(error), error: true };
  if (result && typeof result === "object" && result.status !== undefined) {
    const headers = Array.isArray(result.headers) ? result.headers : [];
    const shown = headers.slice(0, 3).map((header) => header && typeof header === "object" ? say(header.name) + " " + clip(say(header.value), 24) : say(header)).join(", ");
    const rest = headers.length > 3 ? ", " + (headers.length - 3) + " more" : "";
    return { text: say(result.status) + number + bodyLabel(result.bodyBase64) + (headers.length ? ", " + shown + rest : ", no headers") };
  }
  const keys = result && typeof result === "object" ? Object.keys(result).join(", ") : JSON.stringify(result);
  return { text: "result" + number + (keys ? " " + keys : "") };
}

function toldLabel(command, names) {
  const { command: order, conn, op } = command;
  if (order === "request") return "request " + op + (command.stream ? " stream " : " buffered ") + command.method + " " + shortUrl(command.url, names);
  return [order, op || conn, command.transport, command.max > 1 && command.max < 1e6 ? "max " + command.max : "", command.abandon ? "abandon" : "", command.foreign ? "foreign" : ""].filter(Boolean).join(" ");
}

function heardLabel(line) {
  const failed = () => (line.kind || "") + (line.code === undefined ? "" : " " + line.code) + ": " + line.message;
  switch (line.event || line.reply) {
    case "response": return { text: line.op + " response " + line.status + bodyLabel(line.dataBase64, line.bytes) };
    case "chunk": return { text: line.op + (line.dataBase64 === undefined ? " " + line.bytes + " bytes" : bodyLabel(line.dataBase64, line.bytes) || " no bytes") };
    case "end": return { text: line.op + " end" };
    case "call-failed": return { text: line.op + " call failed, " + failed(), error: true };
    case "stream-failed": return { text: line.op + " stream failed, " + failed(), error: true };
    case "closed": return { text: "connection " + line.conn + " closed" };
    case "failed": return { text: "failed, " + failed(), error: true };
    case "census": return { text: ["routes", "calls", "queuedBytes"].filter((name) => line[name] !== undefined).map((name) => name + " " + line[name]).join(", ") };
    case "unsupported": return { text: "unsupported: " + line.reason, error: true };
    case "error": return { text: "error: " + line.message, error: true };
    default: return { text: String(line.event || line.reply) };
  }
}

/** One event as a row of the diagram; nothing for those that are not drawn. */
function rowOf(event, names, followed) {
  const wire = "c:" + event.connection;
  const origin = "o:" + event.origin;
  const arrow = (from, to, text, tone) => ({ kind: "arrow", from, to, text, tone });
  const mark = (lane, text, tone) => ({ kind: "mark", lane, text, tone });
  switch (event.event) {
    case "sent": { const label = frameLabel(event.text, names); return arrow(wire, "peer", label.text, "sent"); }
    case "received": {
      const label = frameLabel(event.text, names);
      return arrow("peer", wire, (event.binary ? "(binary) " : "") + label.text, label.error ? "error" : "came");
    }
    case "ping": return arrow("peer", wire, "ping " + JSON.stringify(event.text), "came");
    case "pong": return arrow("peer", wire, "pong " + JSON.stringify(event.text), "came");
    case "close-frame": return arrow("peer", wire, "close frame" + (event.code === null ? "" : " " + event.code), "came");
    case "garbage": return arrow("peer", wire, "not a frame: " + event.reason, "error");
    case "ended": return arrow("peer", wire, "end of the connection: " + event.reason, "error");
    case "connected": return arrow("peer", wire, "connects", "came");
    case "unreached": return mark(wire, "no connection: " + event.reason, "error");
    case "stalled": return mark(wire, "writing stands still: the peer does not read", "error");
    case "deadline": return mark(followed, "deadline: " + event.milliseconds + " ms have passed", "error");
    case "exited": return mark("peer", event.code === null ? "ended by a signal" : "exit status " + event.code, event.code === 0 ? "plain" : "error");
    case "memory": return mark("peer", "peak memory " + (event.bytes / 1048576).toFixed(1) + " MiB", "plain");
    case "probed": return arrow("peer", followed, event.status ? "HTTP status " + event.status : "no HTTP response", "came");
    case "accepted": return arrow("peer", origin, "connects", "plain");
    case "closed": return mark(origin, "connection closed", "plain");
    case "request": return arrow("peer", origin, event.method + " " + event.target, "upstream");
    case "aborted": return arrow("peer", origin, "hangs up on " + event.path, "upstream");
    case "blocked": return mark(origin, "stands still after " + event.written + " bytes", "upstream");
    case "told": return arrow("app", "peer", toldLabel(event.command, names), "plain");
    case "heard": { const label = heardLabel(event.line); return arrow("peer", "app", label.text, label.error ? "error" : "upstream"); }
    case "broken": return mark(followed, "the suite cannot go on: " + event.reason, "error");
    case "do": {
      if (event.line.startsWith("ping")) return arrow(wire, "peer", event.line, "sent");
      return mark({ wire, origin: "o:0", peer: "peer" }[event.lane], event.line, "plain");
    }
    case "wait": return { kind: "note", text: "waits for  " + event.line };
    case "left-out": return { kind: "left", text: "… " + counted(event.nouns) + " are not in this page" };
    case "finished": return { kind: "done", text: "all steps done" };
    default: return null;
  }
}

function counted(nouns) {
  return Object.entries(nouns).map(([noun, count]) => plural(count, noun)).join(", ");
}
