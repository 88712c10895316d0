"use strict";
// Draws the page from the JSON in it. What peers wrote becomes text nodes and attributes of SVG numbers, never markup.

// ---- The data -------------------------------------------------------------------------------------------------------

const DATA = JSON.parse(document.getElementById("data").textContent);
const BEARING = new Map(DATA.classes);
const ABOUT = new Map(Object.entries(DATA.about));
const CLAUSES = new Map(Object.entries(DATA.clauses));
const SEVERAL = DATA.runs.length > 1;
const BEARINGS = ["good", "violation", "advice", "incomplete", "neutral"];

for (const found of DATA.cases) {
  found.area = found.id.split("/")[0];
  found.bearing = BEARING.get(found.class) || "incomplete";
  found.runName = DATA.runs[found.run].name;
  found.key = (SEVERAL ? encodeURIComponent(found.runName) + ":" : "") + found.id + "." + found.transport;
  const about = ABOUT.get(found.id);
  const clause = CLAUSES.get(found.clause);
  const words = [found.id, found.clause, clause && clause.sentence, about && about.sentence, found.expected, found.came];
  found.words = words.filter(Boolean).join("\n").toLowerCase();
}

// ---- Text and elements ----------------------------------------------------------------------------------------------

/** Text of a peer with characters that hide or turn around what stands beside them made visible. */
function plain(text) {
  const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
  return String(text).replace(hidden, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
}

function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : plain(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== "")
    .map((child) => child instanceof Node ? child : plain(child)));
  return element;
}

function s(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, value);
  element.append(...children.map((child) => child instanceof Node ? child : plain(child)));
  return element;
}

const clip = (text, most) => text.length > most ? text.slice(0, Math.max(most - 1, 1)) + "…" : text;
const plural = (count, noun) => count + " " + (count === 1 && noun.endsWith("s") ? noun.slice(0, -1) : noun);

function time(micros) {
  if (micros >= 1e6) return (micros / 1e6).toFixed(1) + " s";
  if (micros >= 1e4) return Math.round(micros / 1e3) + " ms";
  return (micros / 1e3).toFixed(1) + " ms";
}

function seconds(value) {
  return value >= 60 ? Math.floor(value / 60) + " min " + Math.round(value % 60) + " s" : value.toFixed(value < 10 ? 2 : 1) + " s";
}

/** How many results of each bearing, as a bar. */
function bar(results) {
  const fills = BEARINGS.map((bearing) => {
    const fill = h("span", { class: "fill " + bearing });
    fill.style.flexGrow = results.filter((found) => found.bearing === bearing).length;
    if (fill.style.flexGrow === "0") fill.style.display = "none";
    return fill;
  });
  return h("div", { class: "bar", "aria-hidden": "true" }, fills);
}

function badge(found, text) {
  return h("span", { class: "badge " + found.bearing }, text || found.detail || found.class);
}

// ---- Light and dark -------------------------------------------------------------------------------------------------

const darkSystem = window.matchMedia("(prefers-color-scheme: dark)");
let chosenTheme = null;

function paint() {
  document.documentElement.dataset.theme = chosenTheme || (darkSystem.matches ? "dark" : "light");
}

darkSystem.addEventListener("change", paint);
document.getElementById("theme").addEventListener("click", () => {
  chosenTheme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  paint();
});
paint();

// ---- Runs -----------------------------------------------------------------------------------------------------------

function runCard(run, index) {
  const results = DATA.cases.filter((found) => found.run === index);
  const counts = DATA.classes.map(([name, bearing]) => [name, bearing, results.filter((found) => found.class === name).length]);
  const fact = (name, value, kind) => value ? [h("dt", {}, name), h("dd", {}, kind ? h(kind, {}, value) : value)] : [];
  const over = run.exitCode !== null;
  const outcome = over ? "exit code " + run.exitCode + ": " + run.meaning : "incomplete: the run was ended before it was over";
  return h("article", { class: "run" },
    h("h2", {}, run.name),
    h("p", { class: "outcome " + (over ? ["good", "violation", "violation", "incomplete"][run.exitCode] || "violation" : "incomplete") }, outcome),
    bar(results),
    h("div", { class: "counts" }, counts.filter(([, , count]) => count).map(([name, bearing, count]) =>
      h("span", { class: bearing }, h("b", {}, count), " " + name))),
    h("dl", {},
      fact("command", run.command, "code"),
      fact("suite", run.suite + (run.digest ? " · " + run.digest.slice(0, 12) : "")),
      fact("transports", run.transports.join(", ")),
      fact("started", run.started.replace("T", " ").replace("Z", " UTC")),
      fact("took", over ? seconds(run.seconds) : "")));
}

function drawRuns() {
  const notes = [];
  if (DATA.leftOut) notes.push("The page has no room for the diagrams of " + plural(DATA.leftOut, "cases") + "; their traces are in the folder of the run.");
  document.getElementById("runs").append(h("div", { class: "runs" }, DATA.runs.map(runCard)), ...notes.map((note) => h("p", { class: "faint" }, note)));
  document.title = "exec-http: " + plain(DATA.runs.map((run) => run.name).join(", "));
}

// ---- Comparison of runs ---------------------------------------------------------------------------------------------

/** Two runs differ in a case where they say different things on a transport of both, or have none in common and differ at all. */
function differ(cells) {
  const said = cells.filter((cell) => cell.length).map((cell) => new Map(cell.map((found) => [found.transport, found.class])));
  const classes = (verdicts) => [...new Set(verdicts.values())].sort().join();
  return said.some((one, index) => said.slice(index + 1).some((other) => {
    const common = [...one.keys()].filter((transport) => other.has(transport));
    return common.length ? common.some((transport) => one.get(transport) !== other.get(transport)) : classes(one) !== classes(other);
  }));
}

function drawComparison() {
  const rows = new Map();
  for (const found of DATA.cases) {
    if (!rows.has(found.id)) rows.set(found.id, DATA.runs.map(() => []));
    rows.get(found.id)[found.run].push(found);
  }
  const sorted = [...rows].map(([id, cells]) => ({ id, cells, differs: differ(cells) }))
    .sort((one, other) => other.differs - one.differs || (one.id < other.id ? -1 : 1));
  const different = sorted.filter((row) => row.differs).length;
  const body = h("tbody");
  const draw = (onlyDifferent) => body.replaceChildren(...sorted.filter((row) => row.differs || !onlyDifferent).map((row) =>
    h("tr", { class: row.differs ? "differs" : "same" },
      h("td", { class: "id" }, row.id),
      row.cells.map((cell) => h("td", {}, cell.length ? cell.map((found) =>
        h("a", { class: "badge " + found.bearing, href: "#" + found.key, title: found.came || "" }, found.transport + " " + found.class)) : h("span", { class: "faint" }, "–"))))));
  const only = h("input", { type: "checkbox", id: "only-different", checked: different > 0, onchange: () => draw(only.checked) });
  draw(different > 0);
  const section = document.getElementById("comparison");
  section.hidden = false;
  section.append(
    h("h2", {}, "Side by side"),
    h("p", {}, h("label", {}, only, " differences only"), h("span", { class: "faint" }, " · " + different + " of " + plural(sorted.length, "cases") + " differ")),
    h("div", { class: "scroll compared" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "case"), DATA.runs.map((run) => h("th", {}, run.name)))), body)));
}

// ---- Areas and transports -------------------------------------------------------------------------------------------

function drawMatrix() {
  const columns = [];
  DATA.runs.forEach((run, index) => {
    const transports = [...new Set(DATA.cases.filter((found) => found.run === index).map((found) => found.transport))].sort();
    transports.forEach((transport) => columns.push({ run: index, transport, name: (SEVERAL ? run.name + " · " : "") + transport }));
  });
  const areas = [...new Set(DATA.cases.map((found) => found.area))].sort();
  const cell = (area, column) => {
    const results = DATA.cases.filter((found) => (!area || found.area === area) && found.run === column.run && found.transport === column.transport);
    if (!results.length) return h("td");
    const number = (bearing, title) => {
      const count = results.filter((found) => bearing.includes(found.bearing)).length;
      return h("span", { class: "number " + bearing[0], title: count + " " + title }, count || "");
    };
    const choose = () => {
      Object.assign(filter, { area: area || "", text: "", classes: new Set(), transports: new Set([column.transport]), runs: new Set([column.run]) });
      applyFilter();
      document.getElementById("list").scrollIntoView();
    };
    return h("td", {}, h("button", { class: "cell", type: "button", "aria-label": "Show " + (area || "all areas") + ", " + column.name, onclick: choose },
      bar(results), number(["good"], "passed"), number(["violation"], "failed"), number(["advice"], "failed on a SHOULD"), number(["incomplete"], "without a verdict"), number(["neutral"], "not judged")));
  };
  const row = (area) => h("tr", {}, h("td", { class: "id" }, area || "all"), columns.map((column) => cell(area, column)));
  document.getElementById("matrix").append(
    h("h2", {}, "Areas"),
    h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", {}, "area"), columns.map((column) => h("th", {}, column.name)))),
      h("tbody", {}, row(null), areas.map(row)))),
    h("p", { class: "faint" }, "numbers: ", h("span", { class: "good" }, "passed"), ", ", h("span", { class: "violation" }, "failed"), ", ",
      h("span", { class: "advice" }, "failed on a SHOULD"), ", ", h("span", { class: "incomplete" }, "without a verdict"), ", ", h("span", { class: "neutral" }, "not judged")));
}

// ---- Filters and the list of cases ----------------------------------------------------------------------------------

const filter = { text: "", area: "", classes: new Set(), transports: new Set(), runs: new Set() };
const parts = {};

/** Whether a result is shown; `aside` names a part of the filter that does not count. */
function matches(found, aside) {
  const among = (name, value) => aside === name || !filter[name].size || filter[name].has(value);
  return among("classes", found.class) && among("transports", found.transport) && among("runs", found.run)
    && (!filter.area || found.area === filter.area) && filter.text.toLowerCase().split(/\s+/).every((word) => found.words.includes(word));
}

function chips(part, values) {
  return values.map(([value, text, bearing]) => {
    const chip = h("button", { class: "chip " + (bearing || ""), type: "button", "data-value": value, onclick: () => {
      if (!filter[part].delete(value)) filter[part].add(value);
      applyFilter();
    } }, h("b", {}), " " + text);
    parts.chips.push(() => {
      chip.querySelector("b").textContent = DATA.cases.filter((found) => found[{ classes: "class", transports: "transport", runs: "run" }[part]] === value && matches(found, part)).length;
      chip.setAttribute("aria-pressed", filter[part].has(value));
    });
    return chip;
  });
}

function drawList() {
  const areas = [...new Set(DATA.cases.map((found) => found.area))].sort();
  const transports = [...new Set(DATA.cases.map((found) => found.transport))].sort();
  const classes = DATA.classes.filter(([name]) => DATA.cases.some((found) => found.class === name));
  parts.chips = [];
  parts.search = h("input", { type: "search", placeholder: "search id, clause, sentence, what came", "aria-label": "Search", oninput: () => { filter.text = parts.search.value; applyFilter(); } });
  parts.area = h("select", { "aria-label": "Area", onchange: () => { filter.area = parts.area.value; applyFilter(); } },
    h("option", { value: "" }, "all areas"), areas.map((area) => h("option", { value: area }, area)));
  parts.shown = h("div", { id: "shown", class: "faint", role: "status" });
  const clear = h("button", { type: "button", onclick: () => { clearFilter(); applyFilter(); } }, "clear");
  const section = document.getElementById("list");
  section.classList.toggle("runs-several", SEVERAL);
  section.append(h("h2", {}, "Cases"),
    h("div", { class: "filters" }, parts.search, parts.area,
      chips("classes", classes.map(([name, bearing]) => [name, name, bearing])),
      transports.length > 1 ? chips("transports", transports.map((name) => [name, name])) : [],
      SEVERAL ? chips("runs", DATA.runs.map((run, index) => [index, run.name])) : [], clear),
    parts.shown, ...DATA.cases.map(caseElement));
}

function clearFilter() {
  Object.assign(filter, { text: "", area: "", classes: new Set(), transports: new Set(), runs: new Set() });
}

function applyFilter() {
  let count = 0;
  for (const found of DATA.cases) {
    const shown = matches(found);
    found.element.hidden = !shown;
    count += shown;
  }
  if (parts.search.value !== filter.text) parts.search.value = filter.text;
  parts.area.value = filter.area;
  parts.chips.forEach((update) => update());
  parts.shown.textContent = count + " of " + plural(DATA.cases.length, "results");
}

function caseElement(found) {
  const element = h("details", { class: "case" },
    h("summary", {}, badge(found), SEVERAL ? h("span", { class: "run-name faint" }, found.runName) : null,
      h("span", { class: "id" }, found.id), h("span", { class: "faint" }, found.transport), h("span", { class: "clause faint" }, found.clause || ""),
      h("span", { class: "came" }, (found.came || "").split("\n")[0]), h("span", { class: "seconds" }, seconds(found.seconds))));
  element.addEventListener("toggle", () => {
    if (!element.open) return;
    if (!element.querySelector(".body")) element.append(caseBody(found));
    // Some browsers refuse it on file://.
    try { history.replaceState(null, "", "#" + found.key); } catch { /* The link is a convenience. */ }
  });
  found.element = element;
  return element;
}

// ---- One case -------------------------------------------------------------------------------------------------------

/** What is typed to see it again. */
function repeatCommand(found) {
  const command = DATA.runs[found.run].command;
  return (command || "exec-http conform " + (isClient(found) ? "client" : "server")) + " --transport " + found.transport + " --only " + found.id;
}

const isClient = (found) => found.id.startsWith("client-");

function caseBody(found) {
  const about = ABOUT.get(found.id);
  const clause = CLAUSES.get(found.clause || (about && about.clauses[0]));
  const clauseId = found.clause || (about && about.clauses[0]);
  const fact = (name, value, attributes) => value ? [h("dt", {}, name), h("dd", attributes || {}, value)] : [];
  const wire = (text) => h("pre", {}, text);
  const more = (name, text, open) => text ? h("details", { class: "more", open }, h("summary", {}, name), h("pre", {}, text)) : null;
  const names = namesOf(found);
  const sent = (found.events || []).filter((event) => event.event === "sent" && (!found.decided || event.number <= found.decided)).pop();
  return h("div", { class: "body" },
    about ? h("p", {}, about.sentence) : null,
    h("dl", {},
      fact("clause", clause && [h("b", {}, clauseId + " (" + clause.level + ") "), clause.sentence]),
      found.expected || found.came ? [
        fact("sent last", sent && h("code", {}, frameLabel(sent.text, names).text)),
        fact("allowed", found.expected && wire(found.expected)),
        fact(found.expected ? "came" : "because", found.came && wire(found.came), { class: found.bearing === "neutral" ? "" : "violation" })] : [],
      fact("case", about && (found.place || about.file)),
      fact("repeat", h("code", { class: "command" }, repeatCommand(found)))),
    found.events ? diagramWithSides(found, about, names) : h("p", { class: "faint" }, found.trace ? "The diagram is left out; the trace is " + found.trace + "." : "There is no trace of this case."),
    more("standard error of the peer", found.stderr, found.bearing === "violation"),
    more("the last events", found.transcript.join("\n"), true),
    more("minimal script", found.script),
    more("the case as written", about && about.text));
}

function diagramWithSides(found, about, names) {
  const frame = h("div", { class: "frame", hidden: true, "aria-live": "polite" });
  const box = h("div", { class: "diagram", tabindex: "0", role: "group", "aria-label": "Sequence diagram of " + found.id });
  const opened = new Set();
  const draw = () => box.replaceChildren(diagram(found, about, names, opened, draw, (event) => showFrame(frame, event)));
  draw();
  const origin = about && about.origin;
  return h("div", { class: "sides" },
    h("div", {}, box, frame),
    h("aside", {},
      origin ? h("div", {}, h("h3", {}, "what the origin answers"), h("pre", {}, origin)) : null,
      h("p", { class: "faint" }, "Tap or press Enter on an arrow for the whole frame. Time goes down, in milliseconds since the case began, and not to scale.")));
}

/** The whole frame and its body. */
function showFrame(panel, event) {
  const text = event.text !== undefined ? event.text : JSON.stringify(event.command || event.line || event);
  let message = null;
  try { message = JSON.parse(text); } catch { /* It is shown as it is. */ }
  const body = message && bodyOf(message);
  panel.hidden = false;
  panel.replaceChildren(
    h("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => { panel.hidden = true; } }, "×"),
    h("h4", {}, "event " + event.number + " at " + (event.micros / 1000).toFixed(3) + " ms: " + event.event + (event.connection && event.connection !== "main" ? " on " + event.connection : "") + (event.binary ? ", binary" : "")),
    h("pre", {}, message && typeof message === "object" ? JSON.stringify(message, null, 2) : text),
    ...(body && body.length ? [h("h4", {}, "body, " + body.length + " bytes" + (body.cut ? "; the first " + body.bytes.length : "")), h("pre", {}, shownBytes(body.bytes, 1 << 16))] : []));
}

// ---- From events to labels ------------------------------------------------------------------------------------------

function namesOf(found) {
  const begun = (found.events || []).find((event) => event.event === "begun");
  return begun ? begun.names : {};
}

/** A URL as the case has it. */
function shortUrl(url, names) {
  const text = String(url);
  if (names.origin && text.startsWith(names.origin)) return text.slice(names.origin.length) || "/";
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
  if (typeof error !== "object" || !error) return String(error);
  const kind = error.data && typeof error.data === "object" && error.data.kind;
  return error.code + (kind ? " " + kind : "") + " " + error.message;
}

/** A frame in a few words, and whether it tells an error. */
function frameLabel(text, names) {
  let message = null;
  try { message = JSON.parse(text); } catch { return { text: "not JSON: " + text, error: true }; }
  if (typeof message !== "object" || !message || Array.isArray(message)) return { text: "no message: " + text, error: true };
  const { id, method, params, result, error } = message;
  const number = id === undefined ? "" : " #" + (typeof id === "string" ? id : JSON.stringify(id));
  const member = params && typeof params === "object" ? params : {};
  if (method === "http/request") {
    const stream = member.streamResponse ? " stream " + member.requestId : "";
    const timeout = member.timeoutMs === undefined || member.timeoutMs === null ? "" : " timeout " + member.timeoutMs + " ms";
    return { text: "http/request" + number + " " + member.method + " " + shortUrl(member.url, names) + stream + timeout + bodyLabel(member.bodyBase64) };
  }
  if (method === "http/request/bodyDelta") {
    const end = (member.done ? " done" : "") + (member.error ? " error " + errorLabel(member.error) : "");
    return { text: "delta " + member.requestId + " seq " + member.seq + bodyLabel(member.deltaBase64) + end, error: Boolean(member.error) };
  }
  if (method !== undefined) {
    const call = member.requestId === undefined ? "" : " " + member.requestId + (member.bytes === undefined ? "" : " " + member.bytes + " bytes");
    return { text: String(method) + number + call };
  }
  if (error !== undefined) return { text: "error" + number + " " + errorLabel(error), error: true };
  if (result && typeof result === "object" && result.status !== undefined) {
    const headers = Array.isArray(result.headers) ? result.headers : [];
    const shown = headers.slice(0, 3).map((header) => header && header.name + " " + clip(String(header.value !== undefined ? header.value : header.valueBase64), 24)).join(", ");
    const rest = headers.length > 3 ? ", " + (headers.length - 3) + " more" : "";
    return { text: result.status + number + bodyLabel(result.bodyBase64) + (headers.length ? ", " + shown + rest : ", no headers") };
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
      const line = event.line.replace(/^(?!ping|close|eof|drop|pause|resume|signal|connect|release)\S+ /, "");
      if (line.startsWith("ping")) return arrow(wire, "peer", line, "sent");
      return mark(line.startsWith("release") ? "o:0" : line.startsWith("signal") ? "peer" : wire, line, "plain");
    }
    case "wait": return { kind: "note", lane: wire, text: "waits for  " + event.line };
    case "left-out": return { kind: "left", text: "… " + counted(event.nouns) + " are not in this page" };
    case "finished": return { kind: "done", text: "all steps done" };
    default: return null;
  }
}

function counted(nouns) {
  return Object.entries(nouns).map(([noun, count]) => plural(count, noun)).join(", ");
}

// ---- From rows to a picture -----------------------------------------------------------------------------------------

/** From this on time that passes is shown, in microseconds. */
const PAUSE = 5000;
/** A diagram with more rows has its middle folded. */
const MOST_ROWS = 84;
/** Connections with a lane of their own. */
const MOST_CONNECTIONS = 4;
const CHARACTER = 7.25;

/** All rows: events, pauses between them, and the point of failure. */
function rowsOf(found, names) {
  const rows = [];
  let followed = "c:main";
  let before = null;
  for (const event of found.events) {
    const row = rowOf(event, names, followed);
    if (event.connection !== undefined) followed = "c:" + event.connection;
    if (!row) continue;
    Object.assign(row, { event, micros: event.micros, run: event.run, noun: event.noun || "other events", nouns: event.nouns });
    if (before !== null && event.micros - before >= PAUSE) rows.push({ kind: "pause", micros: event.micros, length: event.micros - before });
    before = event.micros;
    rows.push(row);
  }
  if (found.bearing !== "good" && (found.expected || found.came)) {
    const after = (row) => found.decided && row.event && row.event.number > found.decided;
    const index = rows.findIndex(after);
    const at = index < 0 ? rows.length : rows[index - 1] && rows[index - 1].kind === "pause" ? index - 1 : index;
    const last = rows[at - 1];
    if (last && last.kind !== "pause") last.decides = true;
    rows.splice(at, 0, { kind: "fail", found, micros: last ? last.micros : 0 });
  }
  return rows;
}

/** Rows that stand for many. */
function folded(rows, opened) {
  const fold = (name, hidden, range) => {
    const nouns = {};
    for (const row of hidden) {
      if (row.kind === "pause" || row.kind === "fail") continue;
      for (const [noun, count] of Object.entries(row.nouns || { [row.noun]: 1 })) nouns[noun] = (nouns[noun] || 0) + count;
    }
    const pauses = hidden.filter((row) => row.kind === "pause").map((row) => row.length).sort((one, other) => one - other);
    const events = hidden.filter((row) => row.event);
    const lasted = events.length ? events[events.length - 1].micros - events[0].micros : 0;
    const text = "… " + counted(nouns).replace(/^(\d+)/, "$1 more") + (range || "") + " in " + time(lasted)
      + (pauses.length ? ", with " + plural(pauses.length, "pauses") + " of about " + time(pauses[pauses.length >> 1]) : "");
    return { kind: "fold", name, text, micros: hidden[0].micros };
  };
  const numbers = (hidden) => {
    const ids = hidden.map((row) => row.text && /^http\/request (#\S+)/.exec(row.text)).filter(Boolean).map((match) => match[1]);
    return ids.length > 1 ? " " + ids[0] + "–" + ids[ids.length - 1] : "";
  };
  const result = [];
  for (let index = 0; index < rows.length;) {
    let end = index + 1;
    while (end < rows.length && rows[index].run !== undefined && rows[end].run === rows[index].run) end += 1;
    const name = "run " + rows[index].run;
    if (end - index > 5 && !opened.has(name)) {
      const hidden = rows.slice(index + 2, end - 1);
      result.push(...rows.slice(index, index + 2), fold(name, hidden, numbers(hidden)), rows[end - 1]);
    } else {
      result.push(...rows.slice(index, end));
    }
    index = end;
  }
  const failure = result.findIndex((row) => row.kind === "fail");
  const last = Math.min(result.length - 40, failure < 0 ? Infinity : failure - 20);
  if (opened.has("middle") || result.length <= MOST_ROWS || last < 40) return result;
  return [...result.slice(0, 30), fold("middle", result.slice(30, last)), ...result.slice(last)];
}

/** The lanes from left to right, with their places. */
function lanesOf(found, about) {
  const connections = [];
  const origins = new Set(about && about.origin ? [0] : []);
  for (const { connection, origin, event } of found.events) {
    if (connection !== undefined && event !== "wait" && !connections.includes(connection)) connections.push(connection);
    if (origin !== undefined) origins.add(origin);
  }
  if (!connections.length) connections.push("main");
  const own = connections.slice(0, MOST_CONNECTIONS);
  const role = isClient(found) ? "suite (executor)" : "suite (client)";
  const wires = own.map((name, index) => ["c:" + name, index === MOST_CONNECTIONS - 1 && connections.length > own.length ? "others" : index || own.length > 1 ? (index ? "" : "suite ") + name : role, index ? 120 : 400]);
  const lanes = isClient(found)
    ? [["app", "application", 0], ["peer", "client under test", 340], ...wires]
    : [...wires.map(([key, name], index) => [key, name, index ? 120 : 0]), ["peer", "executor under test", 430], ...[...origins].sort().map((index) => ["o:" + index, index ? "origin 2" : "origin", 280])];
  const places = new Map();
  let x = 130;
  for (const [key, , distance] of lanes) places.set(key, x += distance);
  const at = (key) => places.has(key) ? places.get(key) : key.startsWith("c:") ? places.get("c:" + own[own.length - 1]) : places.get("peer");
  return { lanes, at, width: x + 170 };
}

function wrap(text, most, lines) {
  const words = plain(text).replace(/\n/g, " ⏎ ");
  const wrapped = [];
  for (let start = 0; start < words.length && wrapped.length < lines; start += most) wrapped.push(words.slice(start, start + most));
  if (words.length > most * lines) wrapped[lines - 1] = clip(wrapped[lines - 1] + "…", most);
  return wrapped;
}

function diagram(found, about, names, opened, redraw, show) {
  const { lanes, at, width } = lanesOf(found, about);
  const rows = folded(rowsOf(found, names), opened);
  const picture = s("svg", { width, role: "img", "aria-label": "Messages of " + found.id + " in the order of time" });
  const right = at(lanes[lanes.length - 1][0]) + 90;
  const lines = s("g");
  picture.append(lines);
  let y = 44;
  let printed = "";

  const header = (top) => lanes.forEach(([key, name]) => {
    const size = Math.max(name.length * 7.4 + 20, 60);
    picture.append(s("rect", { class: "lane-box", x: at(key) - size / 2, y: top, width: size, height: 24, rx: 5 }), s("text", { class: "lane-name", x: at(key), y: top + 16 }, name));
  });
  const act = (group, name, action) => {
    group.classList.add("act");
    for (const [attribute, value] of [["tabindex", "0"], ["role", "button"], ["aria-label", plain(name)]]) group.setAttribute(attribute, value);
    group.append(s("title", {}, name));
    const go = () => {
      picture.querySelectorAll(".open").forEach((other) => other.classList.remove("open"));
      group.classList.add("open");
      action();
    };
    group.addEventListener("click", go);
    group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(); } });
  };
  const clock = (row) => {
    const text = (row.micros / 1000).toFixed(1);
    if (text !== printed) picture.append(s("text", { class: "time" + (row.decides ? " total" : ""), x: 62, y: y + 16 }, text));
    printed = text;
  };

  const draw = {
    arrow(row) {
      const [from, to] = [at(row.from), at(row.to)];
      const way = to > from ? 1 : -1;
      const group = s("g", { class: "arrow " + (row.decides ? "error" : row.tone) });
      group.append(
        s("rect", { class: "hit", x: Math.min(from, to) - 6, y, width: Math.abs(to - from) + 12, height: 26, rx: 4 }),
        s("line", { x1: from, y1: y + 20, x2: to - way * 6, y2: y + 20 }),
        s("polygon", { points: `${to},${y + 20} ${to - way * 9},${y + 16} ${to - way * 9},${y + 24}` }),
        s("text", { class: "label", x: (from + to) / 2, y: y + 14 }, clip(plain(row.text), Math.floor((Math.abs(to - from) - 14) / CHARACTER))));
      act(group, row.text, () => show(row.event));
      picture.append(group);
      return 27;
    },
    mark(row) {
      const x = at(row.lane);
      const group = s("g", { class: "mark " + (row.tone || "") });
      const left = x > width - 240;
      group.append(s("circle", { cx: x, cy: y + 12, r: 4 }), s("text", { x: left ? x - 10 : x + 10, y: y + 16, "text-anchor": left ? "end" : "start", class: "label-side" }, clip(plain(row.text), 70)));
      group.append(s("title", {}, row.text));
      picture.append(group);
      return 24;
    },
    note(row) {
      picture.append(s("text", { class: "note", x: at(row.lane) + 10, y: y + 15 }, clip(plain(row.text), Math.floor((width - at(row.lane) - 20) / CHARACTER))));
      return 22;
    },
    done(row) {
      picture.append(s("text", { class: "done", x: at(isClient(found) ? "app" : "peer"), y: y + 15 }, row.text));
      return 22;
    },
    left(row) {
      picture.append(s("text", { class: "note", x: 80, y: y + 15 }, clip(row.text, Math.floor((width - 90) / CHARACTER))));
      return 22;
    },
    pause(row) {
      const height = Math.min(30 + 12 * Math.log2(row.length / PAUSE), 130);
      const group = s("g", { class: "pause" });
      for (const [key] of lanes) {
        group.append(s("rect", { x: at(key) - 3, y: y + 2, width: 6, height: height - 4 }), s("line", { x1: at(key), y1: y + 3, x2: at(key), y2: y + height - 3 }));
      }
      const middle = (at(lanes[0][0]) + at("peer")) / 2;
      group.append(s("text", { x: isClient(found) ? at("peer") + 130 : middle, y: y + height / 2 + 4 }, time(row.length) + (row.length >= 5e5 ? " of silence" : " pass")));
      picture.append(group);
      return height;
    },
    fold(row) {
      const group = s("g", { class: "fold" });
      group.append(s("rect", { x: 72, y: y + 3, width: right - 72, height: 22, rx: 4 }), s("text", { x: 84, y: y + 18 }, clip(row.text + "   ▸ unfold", Math.floor((right - 90) / CHARACTER))));
      act(group, row.text, () => { opened.add(row.name); redraw(); });
      picture.append(group);
      return 29;
    },
    fail(row) {
      const most = Math.floor((right - 72 - 124) / CHARACTER);
      const { expected, came, detail, clause, bearing } = row.found;
      const head = (bearing === "advice" ? "Here a SHOULD is broken" : bearing === "neutral" ? "Here it fails, as expected" : "Here it fails") + ": " + detail + (clause ? ", " + clause : "");
      const texts = [["", head], ...wrap(expected || "", most, 4).map((line, index) => [index ? "" : "expected", line]), ...wrap(came || "", most, 4).map((line, index) => [index ? "" : "came", line])];
      const height = texts.length * 17 + 14;
      const group = s("g", { class: "fail" });
      group.append(s("rect", { x: 72, y: y + 4, width: right - 72, height, rx: 5 }), s("circle", { cx: 92, cy: y + 20, r: 7 }), s("path", { d: `M89 ${y + 17}l6 6m0 -6l-6 6`, fill: "none" }));
      texts.forEach(([name, line], index) => group.append(
        s("text", { x: name || index ? 92 : 106, y: y + 24 + index * 17, class: index ? "" : "head" }, index ? name : line),
        ...(index ? [s("text", { x: 166, y: y + 24 + index * 17 }, line)] : [])));
      picture.append(group);
      return height + 12;
    },
  };

  header(8);
  picture.append(s("text", { class: "time", x: 62, y: 24 }, "ms"));
  for (const row of rows) {
    if (row.event) clock(row);
    y += draw[row.kind](row);
  }
  y += 8;
  for (const [key] of lanes) lines.append(s("line", { class: "lane", x1: at(key), y1: 32, x2: at(key), y2: y }));
  if (y > 700) header(y);
  const height = y + (y > 700 ? 34 : 6);
  picture.setAttribute("height", height);
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return picture;
}

// ---- Links into the page --------------------------------------------------------------------------------------------

function openLinked() {
  let key = location.hash.slice(1);
  const wanted = DATA.cases.find((found) => found.key === key) || DATA.cases.find((found) => encodeURI(found.key) === key);
  if (!wanted) return;
  if (wanted.element.hidden) {
    clearFilter();
    applyFilter();
  }
  wanted.element.open = true;
  wanted.element.scrollIntoView();
}

drawRuns();
if (SEVERAL) drawComparison();
drawMatrix();
drawList();
applyFilter();
window.addEventListener("hashchange", openLinked);
openLinked();
