"use strict";
// The keys of the diagram light up what they belong to; zoom, filters and sorting. Pages can be read without it.
for (const svg of document.querySelectorAll("svg.diagram")) {
  const board = svg.parentElement;
  const keys = new Map([...svg.querySelectorAll(".k")].map((k) => [k.dataset.k, k]));
  const edges = [...svg.querySelectorAll(".edge")];
  let pinned = null;

  const clear = () => {
    svg.classList.remove("dim");
    svg.querySelectorAll(".on").forEach((e) => e.classList.remove("on"));
  };
  const light = (own) => {
    clear();
    const lit = new Set(own);
    for (const edge of edges) {
      if (own.includes(edge.dataset.a) || own.includes(edge.dataset.b)) {
        edge.classList.add("on");
        lit.add(edge.dataset.a).add(edge.dataset.b);
      }
    }
    for (const id of lit) {
      keys.get(id).classList.add("on");
      keys.get(id).closest(".table").classList.add("on");
    }
    svg.classList.add("dim");
  };
  const rest = () => (pinned ? light([pinned.dataset.k]) : clear());
  const pin = (key) => {
    if (pinned) pinned.setAttribute("aria-pressed", "false");
    pinned = pinned === key ? null : key;
    if (pinned) pinned.setAttribute("aria-pressed", "true");
    if (pinned) rest();
  };

  for (const key of keys.values()) {
    const show = () => light([key.dataset.k]);
    key.addEventListener("mouseenter", show);
    key.addEventListener("focus", show);
    key.addEventListener("mouseleave", rest);
    key.addEventListener("blur", rest);
    key.addEventListener("click", () => pin(key));
    key.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        pin(key);
      } else if (event.key === "Escape") {
        if (pinned) pin(pinned);
        clear();
      }
    });
  }
  for (const link of svg.querySelectorAll(".table > a")) {
    const table = link.parentElement;
    const show = () => {
      light([...table.querySelectorAll(".k")].map((k) => k.dataset.k));
      table.classList.add("on");
    };
    link.addEventListener("mouseenter", show);
    link.addEventListener("focus", show);
    link.addEventListener("mouseleave", rest);
    link.addEventListener("blur", rest);
  }

  const [width, height] = [svg.width.baseVal.value, svg.height.baseVal.value];
  let scale = 1;
  const zoom = (wanted) => {
    scale = Math.min(2, Math.max(0.2, wanted));
    svg.setAttribute("width", Math.round(width * scale));
    svg.setAttribute("height", Math.round(height * scale));
  };
  const fit = () => (board.clientWidth - 2) / width;
  const show = (table) => {
    const [box, view] = [table.getBoundingClientRect(), board.getBoundingClientRect()];
    board.scrollBy(box.left - view.left - (view.width - box.width) / 2, box.top - view.top - view.height / 3);
  };
  zoom(Math.min(1, Math.max(0.72, fit())));
  svg.querySelectorAll(".centre").forEach(show);
  const bar = document.querySelector(".bar[data-for=diagram]");
  if (bar) {
    bar.hidden = false;
    bar.querySelector("[data-zoom=in]").addEventListener("click", () => zoom(scale * 1.25));
    bar.querySelector("[data-zoom=out]").addEventListener("click", () => zoom(scale / 1.25));
    bar.querySelector("[data-zoom=fit]").addEventListener("click", () => zoom(Math.min(1, fit())));
    const said = bar.querySelector("output");
    bar.querySelector("input").addEventListener("input", (event) => {
      clear();
      const text = event.target.value.trim().toLowerCase();
      const found = text ? [...svg.querySelectorAll(".table")].filter((t) => t.dataset.name.includes(text)) : [];
      said.textContent = text ? `${found.length} found` : "";
      if (!found.length) return;
      svg.classList.add("dim");
      found.forEach((t) => t.classList.add("on"));
      show(found[0]);
    });
  }
}

for (const bar of document.querySelectorAll(".bar[data-rows]")) {
  const rows = [...document.querySelectorAll(`#${bar.dataset.rows} tbody tr`)];
  bar.hidden = false;
  bar.querySelector("input").addEventListener("input", (event) => {
    const text = event.target.value.trim().toLowerCase();
    let left = 0;
    for (const row of rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(text);
      left += !row.hidden;
    }
    bar.querySelector("output").textContent = text ? `${left} of ${rows.length}` : "";
  });
}

const value = (row, column) => {
  const text = row.cells[column].textContent.trim();
  const number = parseFloat(text.replace(/,/g, ""));
  return text === "–" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
};
for (const table of document.querySelectorAll("table[data-sort]")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("[aria-sort]").forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
