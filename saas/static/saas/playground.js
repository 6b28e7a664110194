// The playground: streams from the ordinary endpoint with a passing key that only this page holds.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const root = document.getElementById("playground");
  const get = (id) => document.getElementById(id);
  const turns = [];
  let key = null;
  let running = null;

  async function passingKey() {
    if (key && key.until > Date.now() + 30_000) return key.secret;
    const token = document.querySelector("#say [name=csrfmiddlewaretoken]").value;
    const answer = await fetch(root.dataset.keyUrl, { method: "POST", headers: { "X-CSRFToken": token } });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const given = await answer.json();
    key = { secret: given.key, until: Date.parse(given.expires_at) };
    return key.secret;
  }

  function bubble(role, text) {
    const turn = document.createElement("div");
    turn.className = `bw-turn bw-turn-${role}`;
    turn.textContent = text;
    get("talk").append(turn);
    get("talk").scrollTop = get("talk").scrollHeight;
    return turn;
  }

  // Server-sent events: blocks of "data: …" lines, ended by an empty line (WHATWG HTML, 9.2).
  async function* chunks(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      held += value;
      const lines = held.split("\n");
      held = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        if (data === "[DONE]") return;
        yield JSON.parse(data);
      }
    }
  }

  async function answer(turn, signal) {
    const system = get("system").value.trim();
    const started = performance.now();
    const response = await fetch(root.dataset.endpoint, {
      method: "POST", signal,
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${await passingKey()}` },
      body: JSON.stringify({
        model: get("model").value,
        messages: [...(system ? [{ role: "system", content: system }] : []), ...turns],
        temperature: Number(get("temperature").value),
        max_tokens: Number(get("max-tokens").value),
        stream: true, stream_options: { include_usage: true },
      }),
    });
    if (!response.ok) {
      const body = await response.json().catch(() => null);
      throw new Error(body && body.error ? body.error.message : `HTTP ${response.status}`);
    }
    for await (const chunk of chunks(response.body)) {
      if (chunk.error) throw new Error(chunk.error.message);
      const delta = chunk.choices && chunk.choices[0] && chunk.choices[0].delta;
      if (delta && delta.content) turn.textContent += delta.content;
      if (chunk.usage) {
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        get("meter").textContent = root.dataset.tokens.replace("{tokens}", chunk.usage.total_tokens).replace("{seconds}", seconds);
      }
      get("talk").scrollTop = get("talk").scrollHeight;
    }
  }

  async function say(event) {
    event.preventDefault();
    const text = get("prompt").value.trim();
    if (!text || running) return;
    get("prompt").value = "";
    turns.push({ role: "user", content: text });
    bubble("user", text);
    const turn = bubble("assistant", "");
    running = new AbortController();
    get("send").disabled = true;
    get("stop").hidden = false;
    try {
      await answer(turn, running.signal);
    } catch (error) {
      if (error.name !== "AbortError") {
        turns.pop();
        turn.className = "bw-turn bw-turn-error";
        turn.textContent = error.message;
        return;
      }
    } finally {
      running = null;
      get("send").disabled = false;
      get("stop").hidden = true;
    }
    turns.push({ role: "assistant", content: turn.textContent });
  }

  get("say").addEventListener("submit", say);
  get("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) get("say").requestSubmit();
    if (event.key === "Enter" && !event.shiftKey) event.preventDefault();
  });
  get("stop").addEventListener("click", () => running && running.abort());
  get("clear").addEventListener("click", () => { turns.length = 0; get("talk").replaceChildren(); get("meter").textContent = ""; });
  get("temperature").addEventListener("input", () => { get("temperature-shown").textContent = get("temperature").value; });
});
