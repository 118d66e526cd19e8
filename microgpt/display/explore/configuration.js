// The configuration: a table of the models' options and, if the page has them, of their trainings'; a column for each model.

/** @param {Page[]} pages */
function showConfiguration(pages) {
  const special = { true: "yes", false: "no", null: "none" };
  const head = (name) => element("th", { scope: "row" }, element("code", {}, name));
  const written = (value) => (Number.isInteger(value) ? grouped(value) : (special[value] ?? String(value)));
  const tables = pages.map(({ data }) => new Map(data.configuration.map(([name, value]) => [name, written(value)])));
  const texts = new Map(pages.flatMap(({ data }) => data.configuration.map(([name, , text]) => [name, text])));
  const row = ([name, text]) => {
    const values = tables.map((table) => table.get(name) ?? "–");
    const className = new Set(values).size > 1 ? "differs" : "";
    return element("tr", { className }, head(name), ...values.map((value) => element("td", { className: "value" }, value)), element("td", {}, text));
  };
  const rows = [...texts].map(row);
  for (const { letter, alphabet } of pages) {
    const of = letter ? ` of ${letter}` : "";
    rows.push(element("tr", {}, element("th", { scope: "row" }, element("code", {}, "characters"), of), element("td", { colSpan: pages.length + 1, className: "characters" }, alphabet.list(200))));
  }
  if (pages.length > 1) {
    const letters = pages.map(({ letter }) => element("th", { scope: "col", className: "value" }, badge(letter)));
    rows.unshift(element("tr", {}, element("td"), ...letters, element("td")));
  }
  byId("configuration").tBodies[0].replaceChildren(...rows);
}
