// The sign-in pages follow the theme that the admin's own switch has stored (Alpine's $persist).
(() => {
  const stored = (localStorage.getItem("adminTheme") || '"auto"').replaceAll('"', "");
  const dark = stored === "dark" || (stored === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
})();
