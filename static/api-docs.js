// The OpenAPI document as Swagger UI shows it, light or dark as the rest of the page, and told to screen readers as that is.
const root = document.documentElement;
const place = document.getElementById("api-docs");

const follow = () => root.classList.toggle("dark-mode", root.dataset.bsTheme === "dark");
new MutationObserver(follow).observe(root, { attributeFilter: ["data-bs-theme"] });
follow();

// What Swagger UI does not tell, or tells otherwise than below an h1. Controls are called after their parameter.
const nameOf = (control) => control.closest("[data-param-name]")?.dataset.paramName ?? "Request body";
const TOLD = [
  ["h3", "aria-level", "2"],
  ["h4", "aria-level", "3"],
  ["h5", "aria-level", "4"],
  ["pre", "tabindex", "0"],
  ["table[role=region]", "role", "table"], // each would be a landmark of the same name
  [":is(input, select, textarea):not([aria-label], [id])", "aria-label", nameOf],
];
const tell = () => {
  for (const [selector, name, value] of TOLD) {
    for (const element of place.querySelectorAll(selector)) {
      const told = value.call ? value(element) : value;
      if (element.getAttribute(name) !== told) element.setAttribute(name, told);
    }
  }
};
new MutationObserver(tell).observe(place, { childList: true, subtree: true });

// Swagger UI's own layout is a second main, and repeats what the page says at its head.
const layout = ({ React: { createElement } }) => ({
  components: {
    PortalLayout({ getComponent, specSelectors }) {
      const part = (name) => createElement(getComponent(name, true));
      if (specSelectors.loadingStatus() === "loading") return null;
      return createElement(
        "div",
        { className: "swagger-ui" },
        createElement(getComponent("SvgAssets")),
        createElement(
          "div",
          { className: "scheme-container" },
          createElement("div", { className: "schemes wrapper" }, part("AuthorizeBtnContainer")),
        ),
        part("errors"),
        createElement("div", { className: "wrapper" }, part("operations")),
        createElement("div", { className: "wrapper" }, part("Models")),
      );
    },
  },
});

SwaggerUIBundle({
  domNode: place,
  url: place.dataset.document,
  docExpansion: "none", // the resources at a glance
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // it would be asked of another host
  syntaxHighlight: { theme: "tomorrow-night" }, // its colors can be read
  plugins: [layout],
  layout: "PortalLayout",
});
