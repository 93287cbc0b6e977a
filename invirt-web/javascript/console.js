// The page of a machine's serial console.
import "/usr/share/javascript/xterm/xterm.css";
import { keep } from "./stream.js";
import { open } from "./terminal.js";

const PIECE = 16384; // letters of a message: pastes are longer

const place = document.getElementById("terminal");
const how = document.getElementById("how");
const sought = document.getElementById("sought");
const looks = "looks" in place.dataset; // nothing is typed
const encoder = new TextEncoder();
const terminal = open(place, type);
let socket;

function type(text) {
    for (let at = 0; at < text.length; at += PIECE) {
        if (!looks && socket?.readyState === WebSocket.OPEN) {
            socket.send(encoder.encode(text.slice(at, at + PIECE)));
        }
    }
}

function tell(words, state) {
    how.textContent = words;
    how.dataset.state = state;
}

function opened(made, good) {
    const decoder = new TextDecoder();
    made.onopen = () => {
        good();
        terminal.reset(); // what was there comes again
        terminal.focus();
    };
    made.onmessage = (event) => {
        if (typeof event.data === "string") {
            const said = JSON.parse(event.data);
            tell(said.words || "Connected.", said.state);
            return;
        }
        const count = event.data.byteLength;
        terminal.write(decoder.decode(event.data, { stream: true }), () => {
            if (made.readyState === WebSocket.OPEN) {
                made.send(JSON.stringify({ shown: count }));
            }
        });
    };
    socket = made;
}

async function copy() {
    await navigator.clipboard.writeText(terminal.selected());
}

async function paste() {
    try {
        terminal.paste(await navigator.clipboard.readText());
    } catch {
        tell("The browser shows no page what was copied: press Ctrl-Shift-V in the terminal.", "note");
    }
    terminal.focus();
}

function press(id, does) {
    document.getElementById(id)?.addEventListener("click", does);
}

terminal.keys((event) => {
    if (event.type === "keydown" && event.ctrlKey && event.shiftKey && event.code === "KeyC") {
        event.preventDefault();
        copy();
        return false;
    }
    return !(event.ctrlKey && event.shiftKey && event.code === "KeyV"); // the browser's own
});
press("copy", copy);
press("paste", paste);
// conserver's escapes: a break, and the keyboard of whoever has it.
for (const [id, escape] of [["break", "\x05cl0"], ["take", "\x05cf"]]) {
    press(id, () => {
        type(escape);
        terminal.focus();
    });
}
function seek(back) {
    if (!terminal.find(sought.value, back)) {
        tell(`"${sought.value}" is not in what is kept of the console.`, "note");
    }
}

press("next", () => seek(false));
press("previous", () => seek(true));
sought.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
        seek(!event.shiftKey); // what was printed last is what one looks for
    }
});
keep(`/streams/${place.dataset.stream}`, { opened, tell }, true);
