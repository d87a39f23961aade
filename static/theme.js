// "Match system": before the first paint, take the theme the machine asks for.
const root = document.documentElement;
if (root.dataset.themeChoice === "system") {
  root.dataset.bsTheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}
