// Charts of ours on unfold's bundled Chart.js, and times in the reader's own zone.
"use strict";

const breakwater = (() => {
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = ["--color-primary-500", "#f59e0b", "#10b981", "#8b5cf6", "#ef4444", "#64748b", "#14b8a6", "#ec4899"];
  const colour = (index) => {
    const entry = palette[index % palette.length];
    return entry.startsWith("--") ? css(entry) : entry;
  };
  const drawn = [];

  function paint(chart) {
    const text = css("--bw-faint");
    const line = css("--bw-line");
    for (const scale of Object.values(chart.options.scales)) {
      scale.ticks.color = text;
      scale.grid.color = line;
      if (scale.title) scale.title.color = text;
    }
    chart.options.plugins.legend.labels.color = text;
    chart.update("none");
  }

  function scale(title, more) {
    return { ticks: { maxRotation: 0, autoSkipPadding: 16 }, grid: {}, border: { display: false }, title: { display: Boolean(title), text: title }, ...more };
  }

  function draw(canvas, type, data, scales) {
    Chart.defaults.font.family = "Inter, sans-serif";
    const chart = new Chart(canvas, {
      type,
      data,
      options: {
        animation: false, responsive: true, maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: { legend: { position: "bottom", labels: { boxWidth: 12, boxHeight: 12 } } },
        scales,
      },
    });
    drawn.push(chart);
    paint(chart);
    return chart;
  }

  // series: [{label, points: [{x, y}]}]
  function curve(canvas, series, xTitle, yTitle) {
    const datasets = series.map((one, index) => ({
      label: one.label, data: one.points, borderColor: colour(index), backgroundColor: colour(index),
      borderWidth: 2, pointRadius: one.dots ? 3 : 0, tension: 0.15, spanGaps: true,
    }));
    return draw(canvas, "line", { datasets }, {
      x: scale(xTitle, { type: "linear" }), y: scale(yTitle, {}),
    });
  }

  // value: {labels, datasets: [{label, data, line}], apart}: stacked bars, or beside one another where `apart`;
  // a data set with `line` is a line over them
  function bars(canvas, value) {
    const stacked = !value.apart;
    const datasets = value.datasets.map((one, index) => (one.line
      ? { ...one, type: "line", order: -1, borderColor: colour(index), backgroundColor: colour(index), borderWidth: 2, pointRadius: 2, tension: 0.15, stack: `line ${index}` }
      : { ...one, backgroundColor: colour(index), borderRadius: 3, maxBarThickness: 28 }));
    return draw(canvas, "bar", { labels: value.labels, datasets }, {
      x: scale("", { stacked, grid: { display: false } }), y: scale(value.unit || "", { stacked, beginAtZero: true }),
    });
  }

  function localTimes(root) {
    const form = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      time.title = time.textContent;
      time.textContent = form.format(new Date(time.dateTime));
      time.dataset.local = "1";
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    localTimes(document);
    for (const canvas of document.querySelectorAll("canvas[data-bars]")) {
      bars(canvas, JSON.parse(document.getElementById(canvas.dataset.bars).textContent));
    }
    for (const slider of document.querySelectorAll("input[data-shown]")) {
      const figure = document.createElement("output");
      const show = () => { figure.textContent = Number(slider.value).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 3 }); };
      slider.after(figure);
      slider.addEventListener("input", show);
      show();
    }
    new MutationObserver(() => drawn.forEach(paint)).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
    document.body.addEventListener("htmx:afterSwap", () => localTimes(document));
    document.addEventListener("submit", (event) => {
      const question = event.target.dataset && event.target.dataset.confirm;
      if (question && !confirm(question)) event.preventDefault();
    });
    document.addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy]");
      if (button) navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent).then(() => { button.textContent = button.dataset.done; });
    });
  });

  return { curve, bars, localTimes, colour };
})();
