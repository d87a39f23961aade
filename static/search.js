// The search in the top bar: a combobox with a list box below it. Without script it is a plain form that leads to the page.
const jump = document.getElementById("jump");
const jumpResults = document.getElementById("jump-results");

function jumpOptions() {
  return [...jumpResults.querySelectorAll("[role=option]")];
}
function showJump(isShown) {
  jumpResults.hidden = !isShown;
  jump.setAttribute("aria-expanded", String(isShown));
  if (!isShown) chooseOption(null);
}
function chooseOption(option) {
  jumpOptions().forEach((one) => one.setAttribute("aria-selected", String(one === option)));
  if (option) {
    jump.setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  } else jump.removeAttribute("aria-activedescendant");
}

if (jump) {
  jumpResults.addEventListener("htmx:afterSwap", () => showJump(jumpOptions().length > 0 && jump.value.trim() !== ""));
  jump.addEventListener("input", () => {
    if (!jump.value.trim()) showJump(false);
  });
  jump.addEventListener("focus", () => {
    if (jumpOptions().length && jump.value.trim()) showJump(true);
  });
  jump.addEventListener("keydown", (event) => {
    const options = jumpOptions();
    const at = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
    if (event.key === "Escape") {
      if (jumpResults.hidden) jump.value = "";
      else event.preventDefault(); // what was typed stays: the first press closes the list alone
      showJump(false);
    } else if (jumpResults.hidden || !options.length) return;
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const to = event.key === "ArrowDown" ? at + 1 : at < 0 ? options.length - 1 : at - 1;
      chooseOption(options[to] ?? null); // past the end: back in the field
    } else if (event.key === "Enter" && at >= 0) {
      event.preventDefault();
      options[at].click();
    } else if (event.key === "Tab") showJump(false);
  });
  document.addEventListener("click", ({ target }) => {
    if (!target.closest(".rc-jump")) showJump(false);
  });
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, textarea, select, [contenteditable]");
    if (
      event.key !== "/" ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      isTyping ||
      document.querySelector("dialog[open]")
    )
      return;
    event.preventDefault();
    jump.focus();
    jump.select();
  });
}
