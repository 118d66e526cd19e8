// The configuration: a table of the models' options and, if the page has them, of their trainings'; a column for each model.

/** @typedef {number | string | boolean | null} Setting the value of an option */

/** @param {Page[]} pages */
function showConfiguration(pages) {
  /** @type {Record<string, string>} */
  const special = { true: "yes", false: "no", null: "none" };
  const written = (/** @type {Setting} */ value) => (typeof value === "number" && Number.isInteger(value) ? grouped(value) : (special[String(value)] ?? String(value)));
  const tables = pages.map(({ data }) => new Map(data.configuration.map(([name, value]) => [name, written(value)])));
  const texts = new Map(pages.flatMap(({ data }) => data.configuration.map(([name, , text]) => [name, text])));
  const rows = [...texts].map(([name, text]) => {
    const values = tables.map((table) => table.get(name) ?? "–");
    const className = new Set(values).size > 1 ? "differs" : "";
    return row(className, heading("row", "", element("code", {}, name)), ...values.map((value) => cell("value", value)), cell("", text));
  });
  for (const { letter, alphabet } of pages) {
    const of = letter ? ` of ${letter}` : "";
    rows.push(row("", heading("row", "", element("code", {}, "characters"), of), cell("characters", alphabet.list(200))));
  }
  if (pages.length > 1) rows.unshift(row("", cell(""), ...pages.map(({ letter }) => heading("col", "value", badge(letter))), cell("")));
  byId("configuration").style.setProperty("--values", String(pages.length));
  byId("configuration").tBodies[0].replaceChildren(...rows);
}

// The roles are those of the elements, which their style in page.css takes from them in some browsers.

/** @param {string} className @param {...HTMLElement} cells @returns {HTMLElement} */
const row = (className, ...cells) => element("tr", { role: "row", className }, ...cells);

/** @param {"row" | "col"} scope @param {string} className @param {...(Node | string)} content @returns {HTMLElement} */
const heading = (scope, className, ...content) => element("th", { scope, role: scope === "row" ? "rowheader" : "columnheader", className }, ...content);

/** @param {string} className @param {...string} content @returns {HTMLElement} */
const cell = (className, ...content) => element("td", { role: "cell", className }, ...content);
