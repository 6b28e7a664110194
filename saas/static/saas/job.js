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

  if (!first.final) setTimeout(poll, 1000);
});
