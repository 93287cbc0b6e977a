// How operations go: on the page of one its steps, on pages of machines how far one has moved.
// Without this script the page comes again by itself.
"use strict";
const MOST = 4; // a browser has few connections for one server
const PLAIN = /[-_]/g;
const TOLD = { running: "It is under way.", undoing: "It failed, and is being undone." };

function step(one) {
    const line = document.createElement("li");
    const state = document.createElement("small");
    line.className = one.state;
    state.textContent = one.state;
    line.append(one.name.replace(PLAIN, " "), " ", state);
    return line;
}

function show(place, now) {
    const how = document.getElementById("how");
    if (place.id !== "steps") {
        place.textContent = now.moving || place.textContent;
        return;
    }
    place.replaceChildren(...now.steps.map(step));
    if (now.state in TOLD) {
        how.textContent = TOLD[now.state] + (now.moving ? ` It is ${now.moving}.` : "");
    }
}

function follow(place) {
    const events = new EventSource(`/streams/operations/${place.dataset.operation}`);
    events.onmessage = (event) => show(place, JSON.parse(event.data));
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
}

[...document.querySelectorAll("[data-operation]")].slice(0, MOST).forEach(follow);
