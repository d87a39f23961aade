// Which of Tabler's styles the portal uses: every class, id and tag that is written somewhere in these files.
module.exports = {
  css: ["node_modules/@tabler/core/dist/css/tabler.min.css"],
  content: ["templates/**/*.html", "portal/**/*.py", "static/*.js"],
  // Put together in templates: status-{{ tone }}. Written by WTForms: the tags of its fields.
  safelist: { standard: [/^status-/, "input", "label", "option", "select", "textarea"] },
};
