// A job's live page: asks for what is new every second until the job has ended.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("live");
  const part = (name) => document.getElementById(`live-${name}`);
  const first = JSON.parse(document.getElementById("live-state").textContent);
  const series = [
    { label: root.dataset.train, points: first.curve.train },
    { label: root.dataset.validation, points: first.curve.validation, dots: true },
  ];
  const canvas = part("curve");
  const chart = canvas && breakwater.curve(canvas, series, root.dataset.step, root.dataset.loss);
  const judged = part("metric");
  const metricChart = judged && breakwater.curve(judged, [
    { label: root.dataset.metric, points: [], dots: true },
    { label: root.dataset.baseline, points: [] },
  ], root.dataset.step, root.dataset.metric);
  let baseline = null;
  let after = first.after;
  let acted = first.state;

  function addEvents(events) {
    for (const event of events) {
      const line = document.createElement("li");
      line.dataset.level = event.level;
      const time = document.createElement("time");
      time.dateTime = time.textContent = event.at;
      const text = document.createElement("span");
      text.textContent = event.message;
      line.append(time, text);
      part("events").append(line);
    }
    if (events.length) {
      breakwater.localTimes(part("events"));
      part("events").scrollTop = part("events").scrollHeight;
    }
  }

  function addPoints(curve) {
    if (!chart || curve.train.length + curve.validation.length === 0) return;
    chart.data.datasets[0].data.push(...curve.train);
    chart.data.datasets[1].data.push(...curve.validation);
    chart.update("none");
  }

  // the held-out figure, and a level line for what is plainly reached without learning
  function addMetric(metric) {
    if (!metricChart) return;
    const [reached, plain] = metricChart.data.datasets;
    reached.data.push(...metric.points);
    if (metric.baseline !== null) baseline = metric.baseline;
    const last = reached.data.length ? reached.data[reached.data.length - 1].x : 0;
    plain.data = baseline === null ? [] : [{ x: 0, y: baseline }, { x: Math.max(last, 1), y: baseline }];
    metricChart.update("none");
  }

  function showMetrics(metrics) {
    if (!part("metrics")) return;
    part("metrics").replaceChildren(...Object.entries(metrics).flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const figure = document.createElement("dd");
      term.textContent = name;
      figure.textContent = value;
      return [term, figure];
    }));
  }

  function show(state) {
    part("badge").innerHTML = state.badge; // made and escaped by the server
    part("bar").style.width = `${state.percent}%`;
    part("bar").parentElement.setAttribute("aria-valuenow", state.percent);
    part("percent").textContent = `${state.percent}%`;
    part("steps").textContent = state.steps;
    part("elapsed").textContent = state.elapsed;
    part("remaining").textContent = state.remaining;
    part("error").textContent = state.error;
    showMetrics(state.metrics);
    addEvents(state.events);
    addPoints(state.curve);
    addMetric(state.metric);
    after = state.after;
  }

  async function refreshActs() {
    const page = await fetch(location.href, { headers: { Accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await page.text(), "text/html");
    document.getElementById("acts").replaceWith(fresh.getElementById("acts"));
  }

  async function poll() {
    let state = null;
    try {
      const answer = await fetch(`${root.dataset.url}?after=${encodeURIComponent(after)}`);
      if (answer.status === 404 || answer.redirected) return;
      if (answer.ok) state = await answer.json();
    } catch { /* the server restarts or the network is away: ask again */ }
    if (state) {
      show(state);
      if (state.state !== acted) {
        acted = state.state;
        await refreshActs();
      }
      if (state.final) {
        setTimeout(() => location.reload(), 1500); // results and attempts are in the page itself
        return;
      }
    }
    setTimeout(poll, document.hidden ? 5000 : 1000);
  }

  addMetric(first.metric);
  if (!first.final) setTimeout(poll, 1000);
});
