// An operation's page, as it goes.  Without this script the page comes again by itself.
"use strict";
const steps = document.getElementById("steps");
const events = new EventSource(`/streams/operations/${steps.dataset.number}`);
const PLAIN = /[-_]/g;
const TOLD = { running: "It is under way.", undoing: "It failed, and is being undone." };

function shown(step) {
    const line = document.createElement("li");
    const state = document.createElement("small");
    line.className = step.state;
    state.textContent = step.state;
    line.append(step.name.replace(PLAIN, " "), " ", state);
    return line;
}

events.onmessage = (event) => {
    const now = JSON.parse(event.data);
    steps.replaceChildren(...now.steps.map(shown));
    if (now.state in TOLD) {
        document.getElementById("how").textContent = TOLD[now.state];
    }
};

// What has ended is told by the page itself.
events.addEventListener("end", () => {
    events.close();
    location.reload();
});

// The browser comes again by itself where it was cut off, and not where it was refused.
events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) {
        setTimeout(() => location.reload(), 5000);
    }
};
