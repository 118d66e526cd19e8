// The configuration: a table of the model's options and, if the page has them, of its training's.

function showConfiguration({ data, alphabet }) {
  const special = { true: "yes", false: "no", null: "none" };
  const head = (name) => element("th", { scope: "row" }, element("code", {}, name));
  const row = ([name, value, description]) => {
    const text = Number.isInteger(value) ? grouped(value) : (special[value] ?? String(value));
    return element("tr", {}, head(name), element("td", {}, text), element("td", {}, description));
  };
  byId("configuration").tBodies[0].replaceChildren(
    ...data.configuration.map(row),
    element("tr", {}, head("characters"), element("td", { colSpan: 2, className: "characters" }, alphabet.list(200))),
  );
}
