// Before the first paint, "Match system" takes the theme the machine asks for; paper is light whatever the screen is.
{
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paper = matchMedia("print");
  const chosen = root.dataset.bsTheme;
  const show = () => {
    const system = dark.matches ? "dark" : "light";
    root.dataset.bsTheme = paper.matches ? "light" : root.dataset.themeChoice === "system" ? system : chosen;
  };
  dark.addEventListener("change", show);
  paper.addEventListener("change", show);
  show();
}
