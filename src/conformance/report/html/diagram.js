"use strict";
// From the events of a case to a picture: lanes from left to right, time downwards, many like rows folded, the failure in its place.

/** From this on time that passes is shown, in microseconds. */
const PAUSE = 20000;
/** A diagram with more rows has its middle folded. */
const MOST_ROWS = 60;
/** Of which these are shown at either end. */
const HEAD_ROWS = 18;
const TAIL_ROWS = 30;
/** So many like rows are folded. */
const FOLD_FROM = 13;
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
    if (before !== null && row.kind !== "left" && event.micros - before >= PAUSE) rows.push({ kind: "pause", micros: event.micros, length: event.micros - before });
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
    const kinds = Object.keys(nouns);
    const total = Object.values(nouns).reduce((one, other) => one + other, 0);
    const text = "▸ " + total + " more " + (kinds.length === 1 ? kinds[0] : "events") + (range || "") + " in " + time(lasted)
      + (pauses.length ? ", with " + plural(pauses.length, "pauses") + " of about " + time(pauses[pauses.length >> 1]) : "")
      + (kinds.length === 1 ? "" : ": " + counted(nouns));
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
    if (end - index >= FOLD_FROM && !opened.has(name)) {
      const hidden = rows.slice(index + 2, end - 1);
      result.push(...rows.slice(index, index + 2), fold(name, hidden, numbers(hidden)), rows[end - 1]);
    } else {
      result.push(...rows.slice(index, end));
    }
    index = end;
  }
  const failure = result.findIndex((row) => row.kind === "fail");
  const last = Math.min(result.length - TAIL_ROWS, failure < 0 ? Infinity : failure - TAIL_ROWS);
  if (opened.has("middle") || result.length <= MOST_ROWS || last - HEAD_ROWS < FOLD_FROM) return result;
  return [...result.slice(0, HEAD_ROWS), fold("middle", result.slice(HEAD_ROWS, last)), ...result.slice(last)];
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
  const wires = own.map((name, index) => ["c:" + name, index === MOST_CONNECTIONS - 1 && connections.length > own.length ? "others" : index || own.length > 1 ? (index ? "" : "suite ") + clip(plain(name), 12) : role, index ? 120 : 400]);
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
      group.append(s("circle", { cx: x, cy: y + 12, r: 4 }), s("text", { x: left ? x - 10 : x + 10, y: y + 16, "text-anchor": left ? "end" : "start" }, clip(plain(row.text), 70)));
      group.append(s("title", {}, row.text));
      picture.append(group);
      return 24;
    },
    note(row) {
      picture.append(s("text", { class: "note", x: at(lanes[0][0]) + 10, y: y + 15 }, clip(plain(row.text), Math.floor((right - at(lanes[0][0]) - 20) / CHARACTER))));
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
      const most = Math.floor((right - 96) / CHARACTER);
      const lines = row.text.length > most ? row.text.split(/(?<=:) /) : [row.text];
      group.append(s("rect", { x: 72, y: y + 3, width: right - 72, height: 5 + 17 * lines.length, rx: 4 }));
      lines.forEach((line, index) => group.append(s("text", { x: index ? 98 : 84, y: y + 18 + 17 * index }, clip(line, most))));
      act(group, row.text, () => { opened.add(row.name); redraw(); });
      picture.append(group);
      return 12 + 17 * lines.length;
    },
    fail(row) {
      const most = Math.floor((right - 72 - 124) / CHARACTER);
      const { expected, came, detail, clause, bearing } = row.found;
      const head = (bearing === "advice" ? "Here a SHOULD is broken" : bearing === "neutral" ? "Here it fails, as expected" : bearing === "incomplete" ? "Here it ends" : "Here it fails") + ": " + detail + (clause ? ", " + clause : "");
      const texts = [["", clip(plain(head), most)], ...wrap(expected || "", most, 4).map((line, index) => [index ? "" : "expected", line]), ...wrap(came || "", most, 4).map((line, index) => [index ? "" : "came", line])];
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
