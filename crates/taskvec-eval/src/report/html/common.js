"use strict";
(() => {
  const csv = JSON.parse(document.getElementById("csv").textContent);
  document.documentElement.classList.add("scripts");

  // Saving figures.
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-save]");
    if (!button) return;
    const id = button.dataset.figure;
    if (button.dataset.save === "csv") {
      save(`${id}.csv`, "text/csv", csv[id]);
    } else {
      const drawing = document.getElementById(id).querySelector("svg").cloneNode(true);
      drawing.removeAttribute("class");
      save(`${id}.svg`, "image/svg+xml", new XMLSerializer().serializeToString(drawing));
    }
  });

  // Folded tables are printed too.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded) details.open = false;
  });
})();
