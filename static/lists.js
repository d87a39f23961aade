// Lists: what is checked in them, and what somebody is at while one is renewed.
import { dialog, left, nameOf, shownFor } from "./portal.js";

let kept = {}; // what is typed and chosen in the toolbar, an open menu, where the focus was

document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const {
    target,
    requestConfig: { elt, formData, triggeringEvent },
  } = detail;
  const panel = target.querySelector(":popover-open");
  const isApplied = panel && triggeringEvent?.type === "submit"; // what was chosen in it holds now: it closes
  kept = {
    fields: isApplied ? [] : [...target.querySelectorAll("form.rc-bar :is([type=search], select)")].filter(isChanged),
    menu: isApplied ? undefined : panel?.id,
    place: isApplied
      ? `[popovertarget="${panel.id}"]`
      : target.contains(document.activeElement)
        ? nameOf(document.activeElement)
        : undefined,
  };
  // Nothing is taken away by a clock while somebody selects it.
  const selection = getSelection();
  if (triggeringEvent === undefined && !selection.isCollapsed && target.contains(selection.anchorNode))
    detail.shouldSwap = false;
  // A box checked since the search among its values was asked for would be lost with the list: the search goes again.
  const checked = (form) => String(form.getAll(elt.name.replace(/_q$/, "")));
  if (elt.matches(".rc-find input") && checked(new FormData(elt.form)) !== checked(formData)) {
    detail.shouldSwap = false;
    setTimeout(() => htmx.trigger(elt, "search"));
  }
});

document.addEventListener("htmx:afterSettle", ({ detail: { target } }) => {
  // by now what was swapped in listens
  const { fields = [], menu, place = left.from } = kept;
  kept = {};
  target.querySelectorAll("form:has([data-selected])").forEach(count);
  fields.forEach(({ name, value }) => {
    const field = document.querySelector(`form.rc-bar [name="${name}"]`); // a search goes on with what was typed meanwhile
    if (!field || field.value === value) return;
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const button = menu && document.querySelector(`[popovertarget="${menu}"]`);
  button?.focus();
  button?.click();
  if (place && target !== dialog && (button || document.activeElement === document.body)) {
    const found = document.querySelector(place) ?? document.getElementById("content");
    (button ? found : shownFor(found)).focus({ preventScroll: true });
    left.from = null;
  }
});

// A sort or page that is pressed while a search is still typed takes the search along.
document.addEventListener(
  "click",
  ({ target }) => {
    const link = target.closest('a[href^="?"]');
    const search = link?.closest("section")?.querySelector("form.rc-bar [type=search]");
    if (!search || !isChanged(search)) return;
    const query = new URLSearchParams(link.getAttribute("href"));
    query.set(search.name, search.value);
    query.delete("page");
    link.href = `?${query}`;
  },
  true,
);

// A menu that the focus leaves closes.
document.addEventListener("focusin", ({ target }) => {
  const menu = document.querySelector(":popover-open");
  if (menu && !menu.contains(target) && target.popoverTargetElement !== menu) menu.hidePopover();
});

// Enter in the search of a section looks for values; the form's first button would leave for the preview.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches(".rc-find input")) event.preventDefault();
});

// Whoever enters values does not mean All any more.
document.addEventListener("input", ({ target }) => {
  const all =
    target.matches("textarea") && target.value.trim() && target.closest("fieldset")?.querySelector(".rc-all input");
  if (all) all.checked = false;
});

document.addEventListener("change", ({ target }) => {
  // Choosing a value means: not All any more, and All means: none of them. Without script, both are refused together.
  const everything = target.closest("fieldset")?.querySelector(".rc-all input");
  if (everything && target.matches('[type="checkbox"]:checked')) {
    const others =
      target === everything ? target.closest("fieldset").querySelectorAll('[type="checkbox"]') : [everything];
    others.forEach((box) => {
      if (box !== target) box.checked = false;
    });
  }
  const { form, checked, name } = target;
  const all = target.closest("[data-select-all], [data-select-filtered]");
  if (all)
    boxes(form).forEach((box) => {
      box.checked = checked;
    });
  // Whoever takes one person out means neither the whole page nor everybody that is filtered any more.
  if (!checked && (all || name === "id"))
    form?.querySelectorAll("[data-select-all], [data-select-filtered]").forEach((box) => {
      box.checked = false;
    });
  count(form);
});

// "Clear selection": the bar goes, so focus returns to where a selection begins.
document.addEventListener("reset", ({ target }) =>
  setTimeout(() => {
    count(target);
    target.querySelector("[data-select-all]")?.focus();
  }),
);

// The browser brings checked boxes back with the page.
addEventListener("pageshow", () => document.querySelectorAll("form:has([data-selected])").forEach(count));

function boxes(form) {
  // those that stand elsewhere and name the form too
  return [...(form?.elements ?? [])].filter(({ type, name }) => type === "checkbox" && name === "id");
}
function isChanged(field) {
  return field.value !== (field.defaultValue ?? field.querySelector("[selected]")?.value ?? "");
}
function count(form) {
  const shown = form?.querySelector("[data-selected]");
  if (!shown) return;
  const everybody = form.querySelector("[data-select-filtered]:checked")?.dataset.selectFiltered;
  const others = form.querySelector('[data-stands-for]:is(:checked, [type="hidden"])')?.dataset.standsFor ?? 0;
  const named =
    boxes(form).filter((box) => box.checked).length + form.querySelectorAll('input[type="hidden"][name="id"]').length;
  shown.textContent = `${everybody ?? named + Number(others)} selected`;
}
