"use strict";

// ---- light, dark, or what the device prefers -------------------------------------------------------------
{
  const button = document.getElementById("theme");
  const themes = ["auto", "light", "dark"];
  const memory = {  // a page that is opened as a file may not be allowed to remember
    get() { try { return localStorage.getItem("eureka-theme"); } catch { return null; } },
    set(value) { try { localStorage.setItem("eureka-theme", value); } catch { /* then not */ } },
  };
  const apply = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  let theme = themes.includes(memory.get()) ? memory.get() : "auto";
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    memory.set(theme);
    apply(theme);
  });
  apply(theme);
}
