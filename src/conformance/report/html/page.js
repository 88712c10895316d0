"use strict";
// Draws the page from the JSON in it. What peers wrote becomes text nodes and attributes of SVG numbers, never markup.

// ---- The data -------------------------------------------------------------------------------------------------------

const DATA = JSON.parse(document.getElementById("data").textContent);
const BEARING = new Map(DATA.classes);
const ABOUT = new Map(Object.entries(DATA.about));
const CLAUSES = new Map(Object.entries(DATA.clauses));
const SEVERAL = DATA.runs.length > 1;
/** Clauses that the card of a run names. */
const MOST_BROKEN = 8;
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
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== "")
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
const plural = (count, noun) => count + " " + (count === 1 ? noun.replace(/s\b/, "") : noun);

/** A sentence of the specification: what stands in backticks is code. */
function prose(sentence) {
  return sentence.split("`").map((part, index) => index % 2 ? h("code", {}, part) : part);
}

function time(micros) {
  if (micros < 100) return micros + " µs";
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

function badge(found) {
  return h("span", { class: "badge " + found.bearing, title: found.detail }, found.detail || found.class);
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
      fact("suite", run.suite + (run.digest ? " · " + run.digest.slice(0, 16) : "")),
      fact("transports", run.transports.join(", ")),
      fact("started", run.started.replace("T", " ").replace("Z", " UTC")),
      fact("took", over ? seconds(run.seconds) : "")),
    mostBroken(results));
}

/** The clauses that most results break, each a filter. */
function mostBroken(results) {
  const counts = new Map();
  for (const found of results) if (found.bearing === "violation" && found.clause) counts.set(found.clause, (counts.get(found.clause) || 0) + 1);
  const most = [...counts].sort((one, other) => other[1] - one[1]).slice(0, MOST_BROKEN);
  const show = (id, run) => () => {
    clearFilter();
    Object.assign(filter, { text: id, runs: new Set(SEVERAL ? [run] : []) });
    applyFilter();
    document.getElementById("list").scrollIntoView();
  };
  return most.length ? [h("h3", {}, "broken most often"), h("div", { class: "broken" }, most.map(([id, count]) => {
    const clause = CLAUSES.get(id);
    return h("button", { type: "button", onclick: show(id, results[0].run) }, h("b", { class: "violation" }, count), h("span", { class: "id" }, id),
      h("span", { class: "faint", title: clause && clause.sentence }, clause ? clause.sentence.replaceAll("`", "") : ""));
  }))] : [];
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
  const rank = ({ differs, cells }) => differs ? cells.flat().some((found) => found.bearing === "violation") ? 0 : 1 : 2;
  const sorted = [...rows].map(([id, cells]) => ({ id, cells, differs: differ(cells) }))
    .sort((one, other) => rank(one) - rank(other) || (one.id < other.id ? -1 : 1));
  for (const { cells } of sorted) cells.forEach((cell) => cell.sort((one, other) => one.transport < other.transport ? -1 : 1));
  const different = sorted.filter((row) => row.differs).length;
  const body = h("tbody");
  const draw = (onlyDifferent) => body.replaceChildren(...sorted.filter((row) => row.differs || !onlyDifferent).map((row) =>
    h("tr", { class: row.differs && "differs" },
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
  const about = ABOUT.get(found.id);
  const element = h("details", { class: "case" },
    h("summary", {}, badge(found), SEVERAL ? h("span", { class: "run-name faint" }, found.runName) : null,
      h("span", { class: "id" }, found.id), h("span", { class: "faint" }, found.transport), h("span", { class: "clause faint" }, found.clause || ""),
      found.came ? h("span", { class: "came" }, found.came.split("\n")[0]) : h("span", { class: "came faint" }, prose(about ? about.sentence : "")), h("span", { class: "seconds" }, seconds(found.seconds))));
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

/** What is typed to see it again: the case in the suite, and what is left of it in a script. */
function commandsOf(found) {
  const { command, folder } = DATA.runs[found.run];
  const [, half, options] = /^exec-http conform (\w+)(.*)$/.exec(command) || ["", isClient(found) ? "client" : "server", ""];
  const script = folder + "/" + found.scriptFile;
  const quoted = /^[\w@%+=:,./-]+$/.test(script) ? script : "'" + script.replaceAll("'", "'\\''") + "'";
  return {
    again: "exec-http conform " + half + options + " --transport " + found.transport + " --only " + found.id,
    alone: "exec-http replay " + quoted + options + " --transport " + found.transport,
  };
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
    about ? h("p", {}, prose(about.sentence)) : null,
    h("dl", {},
      fact("clause", clause && [h("b", {}, clauseId + " (" + clause.level + ") "), prose(clause.sentence)]),
      found.expected || found.came ? [
        fact("sent", sent && h("code", {}, frameLabel(sent.text, names).text)),
        fact("allowed", found.expected && wire(found.expected)),
        fact(found.expected ? "came" : "because", found.came && wire(found.came), { class: found.bearing === "neutral" ? "" : "violation" })] : [],
      fact("step", about && (found.place || about.file)),
      fact("again", h("code", { class: "command" }, commandsOf(found).again)),
      fact("alone", found.scriptFile && h("code", { class: "command" }, commandsOf(found).alone))),
    found.events ? diagramWithSides(found, about, names) : h("p", { class: "faint" }, found.trace ? "The diagram is left out; the trace is " + found.trace + "." : "There is no trace of this case."),
    more("standard error of the peer", found.stderr, found.bearing === "violation"),
    more("the last events", found.transcript.join("\n"), true),
    more("minimal script, " + found.scriptFile, found.script),
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
document.querySelector("main").classList.toggle("single", !SEVERAL);
if (SEVERAL) drawComparison();
drawMatrix();
drawList();
applyFilter();
window.addEventListener("hashchange", openLinked);
openLinked();
