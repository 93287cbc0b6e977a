// The page of a machine's screen: noVNC's part that draws and takes keys, as Debian has it.
import RFB from "/usr/share/novnc/core/rfb.js";
import { key, PRESSED, SHIFT } from "./keyboard.js";
import { keep } from "./stream.js";

const PAUSE = 10; // milliseconds between keys: a guest's keyboard keeps few
const LONGEST = 4096; // letters of a text

const place = document.getElementById("screen");
const how = document.getElementById("how");
const text = document.getElementById("text");
let rfb;
let typing = Promise.resolve();

function tell(words, state) {
    how.textContent = words;
    how.dataset.state = state;
}

function draw(socket, good) {
    rfb = new RFB(place, socket, { shared: true });
    rfb.scaleViewport = true;
    rfb.background = ""; // the page's
    rfb.addEventListener("connect", () => {
        good();
        tell("Connected.", "joined");
        rfb.focus();
    });
    rfb.addEventListener("securityfailure", () => tell("The machine refuses to show its screen.", "cut"));
}

function opened(socket, good) {
    // Words come before the screen, and at its end; all else is noVNC's.
    socket.addEventListener("message", (event) => {
        if (typeof event.data !== "string") {
            return;
        }
        const said = JSON.parse(event.data);
        if (said.state === "joined") {
            draw(socket, good);
        } else {
            tell(said.words, said.state);
        }
    });
}

function closed() {
    rfb = undefined;
}

function pressed(code, keysym, shift) {
    if (shift) {
        rfb.sendKey(SHIFT[1], SHIFT[0], true);
    }
    rfb.sendKey(keysym, code);
    if (shift) {
        rfb.sendKey(SHIFT[1], SHIFT[0], false);
    }
}

async function type(whole) {
    const letters = [...whole.replace(/\r\n?/g, "\n").slice(0, LONGEST)];
    const missing = [...new Set(letters.filter((letter) => !key(letter)))];
    for (const found of letters.map(key).filter(Boolean)) {
        if (!rfb) {
            return;
        }
        pressed(...found);
        await new Promise((done) => setTimeout(done, PAUSE));
    }
    if (missing.length) {
        tell(`Not on a US keyboard, and left out: ${missing.join(" ")}`, "note");
    }
}

// One text after the other.
function typed(whole) {
    typing = typing.then(() => type(whole));
}

function press(element, does) {
    element.addEventListener("click", () => {
        does();
        rfb?.focus();
    });
}

for (const button of document.querySelectorAll("[data-key]")) {
    press(button, () => rfb?.sendKey(PRESSED[button.dataset.key], button.dataset.key));
}
press(document.getElementById("secure"), () => rfb?.sendCtrlAltDel());
const full = document.getElementById("full");
full.hidden = !document.fullscreenEnabled; // an iPhone has none
press(full, () => place.requestFullscreen());
press(document.getElementById("paste"), async () => {
    try {
        typed(await navigator.clipboard.readText());
    } catch {
        tell("The browser shows no page what was copied: paste it into the field, and have it typed.", "note");
    }
});
document.getElementById("typing").addEventListener("submit", (event) => {
    event.preventDefault();
    typed(text.value || "\n");
    text.value = "";
});
keep(`/streams/screens/${place.dataset.name}`, { opened, closed, tell }, false);
