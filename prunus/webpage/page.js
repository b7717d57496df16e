"use strict";
(() => {
const DATA = JSON.parse(document.getElementById("prunus-data").textContent);
const SPECS = JSON.parse(document.getElementById("prunus-figures").textContent);
const $ = (id) => document.getElementById(id);
const CONFIG = { responsive: true, displaylogo: false, showSendToCloud: false,
  plotlyServerURL: "", modeBarButtonsToRemove: ["lasso2d", "select2d"] };
const MOST_NAMES = 40;             // of tokens beside an axis
const FEW = 12;                    // rows, each of which has a number
const LONGEST = 24;                // characters that are shown of a token

// Plotly reads texts as HTML.
const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;")
  .replace(/>/g, "&gt;");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function themed(layout) {
  const axes = {};
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(key)) {
      axes[key] = { ...layout[key], gridcolor: colour("--grid"), zerolinecolor: colour("--line"),
        linecolor: colour("--line") };
    }
  }
  return { ...layout, ...axes,
    font: { family: getComputedStyle(document.body).fontFamily, size: 13,
      color: colour("--ink") },
    hoverlabel: { align: "left", bgcolor: colour("--paper"), bordercolor: colour("--accent"),
      font: { color: colour("--ink"), size: 13 } },
    modebar: { color: colour("--soft"), activecolor: colour("--accent"),
      bgcolor: "rgba(0,0,0,0)" } };
}

// -- figures that are ready ----------------------------------------------------------------------
function drawReady() {
  for (const [id, spec] of Object.entries(SPECS)) {
    Plotly.react($(id), spec.data, themed(spec.layout), CONFIG);
  }
}

// -- maps of a head ------------------------------------------------------------------------------
// Positions of Viridis; squeezed, so that small shares differ in colour and ticks stay true.
const VIRIDIS = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779",
  "#6ece58", "#b5de2b", "#fde725"];
const scale = (power) => VIRIDIS.map((c, n) => [(n / (VIRIDIS.length - 1)) ** power, c]);
const reversed = VIRIDIS.map((c, n) => [n / (VIRIDIS.length - 1),
  VIRIDIS[VIRIDIS.length - 1 - n]]);

let head = 0, shown = null;
const quantity = (key) => DATA.quantities.find((one) => one.key === key);
const number = (value) => Number.isInteger(value) ? value.toLocaleString("en-US")
  : String(Number(value.toPrecision(4)));
const percent = (value) => (100 * value).toPrecision(3) + "%";
const span = (first, count, total) => {
  const last = Math.min(first + count, total) - 1;
  return last > first ? `${first}–${last}` : `${first}`;
};
const brief = (token) => escaped(token.length > LONGEST ? token.slice(0, LONGEST - 1) + "…"
  : token);
function words(tokens, first, count, total) {
  if (!tokens || count > 4) return "";
  const some = tokens.slice(first, Math.min(first + count, total));
  return some.length ? ` “${some.map(brief).join(" ")}”` : "";
}
function told(h, q, value) {
  if (value === null) return `${q.name}: not computed`;
  if (q.key === "probability") return `${q.name}: ${percent(value)}`;
  if (q.logits) {
    return `${q.name}: ${number(value * h.unit)} (q·k = ${number(value)})`;
  }
  return `${q.name}: ${number(value)}`;
}
function bound(h, q, first, count) {
  const rows = q.bound ? h.rows[q.bound] : null;
  if (!rows || !rows.length) return "";
  const per = h.l_q > rows.length ? 2 : 1;
  const some = rows.slice(Math.floor(first / per), Math.ceil((first + count) / per))
    .map((x) => q.logits ? x * h.unit : x);
  if (!some.length) return "";
  const low = Math.min(...some), high = Math.max(...some);
  const text = low === high ? number(low) : `${number(low)} to ${number(high)}`;
  return ` ${q.high ? "against" : "at most"} ${q.bound} = ${text}`;
}

// What queries of a cell give to its keys, on average.
function attention(map, i, j, many) {
  const rows = map.z.slice(i * many, (i + 1) * many)
    .map((row) => row.slice(j * many, (j + 1) * many).filter((p) => p !== null))
    .filter((row) => row.length);
  const all = rows.flat().reduce((a, b) => a + b, 0);
  return `attention to both keys, mean of its queries: ${percent(all / (rows.length || 1))}`;
}

function cells(h, key) {
  const map = h.maps[key], q = quantity(key), cell = map.cell, step = h.mask_cell / cell;
  const kept = [], gone = [], text = [];
  let low = Infinity, high = -Infinity, low2 = Infinity, high2 = -Infinity;
  const factor = q.logits ? h.unit : 1;
  map.z.forEach((row, i) => {
    const keptRow = [], goneRow = [], textRow = [];
    row.forEach((raw, j) => {
      const mi = Math.floor(i / step), mj = Math.floor(j / step);
      const of = h.visible[mi][mj], alive = h.head_kept ? h.kept[mi][mj] : 0;
      const value = raw === null ? null : raw * factor;
      // A pair that nobody sees may lie in a cell that somebody sees.
      const unseen = of === 0 || (raw === null && key === "probability");
      keptRow.push(!unseen && alive ? value : null);
      goneRow.push(!unseen && !alive ? (value === null ? NaN : value) : null);
      if (!unseen && value !== null) {
        if (alive) { low = Math.min(low, value); high = Math.max(high, value); }
        else { low2 = Math.min(low2, value); high2 = Math.max(high2, value); }
      }
      const y = i * cell, x = j * cell;
      const unit = DATA.mask_cell === 2 ? "blocks" : "pairs";
      const fate = of === 1 ? (alive ? "<b>kept</b>" : "<b>pruned</b>")
        : `<b>${alive} of ${of} ${unit} kept</b>`;
      const lines = [`query ${span(y, cell, h.l_q)}${words(DATA.tokens, y, cell, h.l_q)} × key ` +
        `${span(x, cell, h.l_kv)}${words(DATA.tokens, x, cell, h.l_kv)}: ${fate}`];
      for (const other of [...h.quantities, "probability"]) {
        const o = quantity(other), om = h.maps[other], ratio = om.cell / cell;
        const a = Math.floor(i / ratio), b = Math.floor(j / ratio);
        if (ratio < 1) {                    // finer than this map
          if (other === "probability") lines.push(attention(om, i, j, 1 / ratio));
          continue;
        }
        const v = om.z[a][b];
        const note = om.cell > o.cell ? ` (${o.merged})` : "";
        lines.push(told(h, o, v) + note + bound(h, o, a * om.cell, om.cell));
      }
      textRow.push(unseen ? "" : lines.join("<br>"));
    });
    kept.push(keptRow); gone.push(goneRow); text.push(textRow);
  });
  // What has no value is as light as the lightest.
  if (low2 > high2) { low2 = 0; high2 = 1; }
  for (const row of gone) row.forEach((v, j) => { if (v !== null && isNaN(v)) row[j] = low2; });
  if (low > high) { low = 0; high = 1; }
  return { kept, gone, text, low, high, low2, high2, cell, q };
}

function axis(title, total, up) {
  const named = DATA.tokens && total <= MOST_NAMES;
  return { title: { text: title, standoff: 6, font: { size: 13 } }, range: up ? [total - 0.5, -0.5]
    : [-0.5, total - 0.5], showgrid: false, zeroline: false, automargin: true,
    tickfont: { size: 11 }, ticks: "outside", ticklen: 3, ...names(named, 0, total) };
}
function names(named, from, to) {
  if (!named) {                             // rows have whole numbers
    return { tickvals: null, ticktext: null, tickangle: 0, tick0: 0, dtick: 1,
      tickmode: to - from <= FEW ? "linear" : "auto" };
  }
  const values = [];
  for (let n = Math.max(0, from); n < Math.min(to, DATA.tokens.length); n += 1) values.push(n);
  return { tickmode: "array", tickvals: values, tickangle: "auto",
    ticktext: values.map((n) => brief(DATA.tokens[n])) };
}

const isSquare = (h) => h.l_q <= 3 * h.l_kv && h.l_kv <= 3 * h.l_q;
// Plotly takes its size from the element, also when the window changes.
function fit(id) {
  const wide = $(id).clientWidth || 600, square = isSquare(DATA.heads[head]);
  $(id).style.height = `${square ? Math.min(720, Math.max(260, wide - 60)) : 420}px`;
}

function panel(id, key) {
  const h = DATA.heads[head], c = cells(h, key), q = c.q, place = $(id);
  const many = Math.max(h.l_q, h.l_kv) / c.cell > 64;
  const common = { type: "heatmap", x0: (c.cell - 1) / 2, dx: c.cell, y0: (c.cell - 1) / 2,
    dy: c.cell, text: c.text, hovertemplate: "%{text}<extra></extra>", hoverongaps: false,
    xgap: many ? 0 : 1, ygap: many ? 0 : 1 };
  const flat = c.high === c.low ? { zmin: c.low - 1, zmax: c.high + 1 }
    : { zmin: c.low, zmax: c.high };
  const zero = key === "probability" ? { zmin: 0, zmax: c.high || 1 } : flat;
  const greys = [[0, colour("--pruned-low")], [1, colour("--pruned-high")]];
  const dark = q.high ? greys : [[0, greys[1][1]], [1, greys[0][1]]];
  const traces = [
    { ...common, z: c.gone, name: "pruned", colorscale: dark, showscale: false, zmin: c.low2,
      zmax: c.high2 > c.low2 ? c.high2 : c.low2 + 1 },
    { ...common, z: c.kept, name: "kept", ...zero,
      colorscale: key === "probability" ? scale(2) : q.high ? scale(1) : reversed,
      colorbar: { thickness: 12, outlinewidth: 0, len: 1, tickfont: { size: 11 },
        title: { text: q.unit, side: "right", font: { size: 12 } },
        ...(key === "probability" ? { tickformat: ".0~%" } : {}) } }];
  const square = isSquare(h);
  const y = axis("query", h.l_q, true), x = axis("key", h.l_kv, false);
  if (square) { y.scaleanchor = "x"; y.constrain = "domain"; x.constrain = "domain"; }
  fit(id);
  const layout = themed({ autosize: true, xaxis: x, yaxis: y,
    margin: { l: 56, r: 92, t: 26, b: 50 }, paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)" });
  Plotly.react(place, traces, layout, CONFIG);
  $(id + "-title").textContent = $(id + "-title").title = q.name + (h.maps[key].cell > q.cell
    ? `, ${c.cell} × ${c.cell} pairs: ${q.merged}` : "");
}

let linking = false;
function link(id, other) {
  $(id).on("plotly_relayout", (change) => {
    if (linking) return;
    const now = {};
    const h = DATA.heads[head];
    for (const [name, total] of [["xaxis", h.l_kv], ["yaxis", h.l_q]]) {
      const range = $(id)._fullLayout[name].range;
      if (change[`${name}.autorange`]) {
        now[`${name}.range`] = name === "yaxis" ? [total - 0.5, -0.5] : [-0.5, total - 0.5];
      } else if (Object.keys(change).some((key) => key.startsWith(`${name}.range`))) {
        now[`${name}.range`] = [...range];
      }
      if (now[`${name}.range`]) {
        const [a, b] = [...now[`${name}.range`]].sort((p, q) => p - q);
        const from = Math.ceil(a), to = Math.floor(b) + 1;
        for (const [what, value] of Object.entries(names(
          DATA.tokens && to - from <= MOST_NAMES, from, to))) {
          now[`${name}.${what}`] = value;
        }
      }
    }
    if (!Object.keys(now).length) return;
    linking = true;
    Promise.all([Plotly.relayout($(other), now), Plotly.relayout($(id), now)])
      .finally(() => { linking = false; });
  });
}

function facts() {
  const h = DATA.heads[head];
  const share = ([part, whole]) => `${part.toLocaleString("en-US")} of ` +
    `${whole.toLocaleString("en-US")} (${whole ? percent(part / whole) : "-"})`;
  const rows = [["blocks kept", share(h.blocks)], ["scores kept", share(h.scores)], ...h.facts];
  $("facts").replaceChildren(...rows.map(([name, text]) => {
    const item = document.createElement("span"), bold = document.createElement("b");
    bold.textContent = name + ": ";
    item.append(bold, text);
    return item;
  }));
}

function drawHead() {
  const h = DATA.heads[head];
  if (!h.quantities.includes(shown)) shown = h.quantities[0];
  const choice = $("quantity");
  choice.replaceChildren(...h.quantities.map((key) => {
    const option = document.createElement("option");
    option.value = key;
    option.textContent = quantity(key).name;
    option.selected = key === shown;
    return option;
  }));
  $("head").value = String(h.head);
  if ($("layer")) $("layer").value = String(h.layer);
  facts();
  panel("map-importance", shown);
  panel("map-probability", "probability");
}

function go(n) {
  head = (n + DATA.heads.length) % DATA.heads.length;
  drawHead();
}
function find(layer, number) {
  const n = DATA.heads.findIndex((h) => h.layer === layer && h.head === number);
  if (n >= 0) go(n);
}
function controls() {
  const chosen = () => find($("layer") ? Number($("layer").value) : DATA.heads[0].layer,
    Number($("head").value));
  $("head").addEventListener("change", chosen);
  if ($("layer")) $("layer").addEventListener("change", chosen);
  $("before").addEventListener("click", () => go(head - 1));
  $("after").addEventListener("click", () => go(head + 1));
  $("quantity").addEventListener("change", (event) => {
    shown = event.target.value;
    panel("map-importance", shown);
  });
  for (const id of ["kept-text", "kept-task"]) {
    if ($(id)) {
      $(id).on("plotly_click", (event) => {
        const point = event.points[0];
        if (typeof point.y === "number") find(Number(point.y), Number(point.x));
      });
    }
  }
}

// What the selectors of the curve choose from: pruned shares, then value and both arms, twice.
const SHARES = 3;
function drawCurve() {
  const n = Number($("curve-axis").value), as = $("curve-value") ? Number($("curve-value").value)
    : 0;
  const at = SHARES + 3 * as, spec = SPECS.curve, relative = "type" in spec.layout.yaxis;
  const data = spec.data.map((trace) => {
    if (trace.meta) {                           // a line
      const value = trace.meta[3 * as];
      return { ...trace, y: trace.y.map(() => value) };
    }
    const order = trace.customdata.map((_, k) => k).sort((a, b) =>
      trace.customdata[a][n] - trace.customdata[b][n]);
    const sorted = (list) => order.map((k) => list[k]), rows = sorted(trace.customdata);
    const marker = { ...trace.marker };
    for (const what of ["size", "symbol", "color"]) marker[what] = sorted(marker[what]);
    return { ...trace, customdata: rows, text: sorted(trace.text), marker, x: rows.map((row) => row[n]), y: rows.map((row) => row[at]),
      error_y: { ...trace.error_y, array: rows.map((row) => row[at + 1]),
        arrayminus: rows.map((row) => row[at + 2]) } };
  });
  const xaxis = { ...spec.layout.xaxis, title: { ...spec.layout.xaxis.title,
    text: $("curve-axis").selectedOptions[0].textContent + ", share" } };
  const layout = { ...spec.layout, xaxis };
  if (as === 1) {
    const title = spec.layout.yaxis.title;
    const text = title.text + ", difference to the model by itself";
    layout.yaxis = { title: { ...title, text }, automargin: true, zeroline: true,
      tickformat: relative || "tickformat" in spec.layout.yaxis ? "+.1%" : "+.3f" };
    layout.annotations = [];
    const far = data.filter((trace) => trace.meta).map((trace) => trace.y[0]);
    const near = data.filter((trace) => !trace.meta).flatMap((trace) => trace.y.flatMap((y, k) =>
      y === null ? [] : [y + trace.error_y.array[k], y - trace.error_y.arrayminus[k]]));
    if (near.length) {
      let low = Math.min(0, ...near), high = Math.max(0, ...near);
      const room = high - low;
      for (const y of far) {
        if (y !== null && y >= low - room && y <= high + room) {
          low = Math.min(low, y); high = Math.max(high, y);
        }
      }
      const margin = 0.06 * (high - low || 1);
      layout.yaxis.range = [low - margin, high + margin];
    }
  }
  Plotly.react($("curve"), data, themed(layout), CONFIG);
}

function drawAll() {
  drawReady();
  if ($("curve-axis")) drawCurve();
  if (DATA.heads.length) drawHead();
}
drawAll();
for (const id of ["curve-axis", "curve-value"]) {
  if ($(id)) $(id).addEventListener("change", drawCurve);
}
if (DATA.heads.length) {
  controls();
  link("map-importance", "map-probability");
  link("map-probability", "map-importance");
  addEventListener("resize", () => {
    for (const id of ["map-importance", "map-probability"]) fit(id);
  });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
