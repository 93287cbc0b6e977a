// The terminal of the consoles: xterm.js as Debian 12 has it (node-xterm 3.8), whose search is not whole.
import { Terminal } from "xterm";

// A serial line tells no size: a guest takes it for that of a terminal of old.
const COLUMNS = 80;
const ROWS = 24;
const LARGEST = 18; // pixels of a letter's height
const WIDE = 0.603; // of a letter's width to that
const LOOK = 16; // milliseconds

// The next line with the text, from the one that is marked, or from an end: marked and in sight; whether there is one.
function find(core, text, back) {
    const { buffer, selectionManager } = core;
    const count = buffer.lines.length;
    const marked = selectionManager.selectionStart;
    const begin = marked ? marked[1] : back ? count : -1;
    for (let far = 1; text && far <= count; far++) {
        const row = (begin + (back ? -far : far) + 2 * count) % count;
        const column = buffer.translateBufferLineToString(row, true).toLowerCase().indexOf(text.toLowerCase());
        if (column >= 0) {
            selectionManager.setSelection(column, row, text.length);
            core.scrollLines(row - buffer.ydisp - (ROWS >> 1));
            return true;
        }
    }
    return false;
}

export function open(element, typed) {
    const made = new Terminal({
        cols: COLUMNS,
        rows: ROWS,
        scrollback: 5000,
        fontFamily: '"DejaVu Sans Mono", monospace',
        screenReaderMode: true,
        theme: { background: "#10141b", foreground: "#e5e9f0" },
    });
    const fitted = () => {
        const size = Math.floor((10 * element.clientWidth) / (COLUMNS * WIDE)) / 10;
        made.setOption("fontSize", Math.max(5, Math.min(LARGEST, size)));
    };
    made.open(element);
    element.querySelector(".xterm-accessibility-tree").setAttribute("role", "list"); // its lines are items
    fitted();
    window.addEventListener("resize", fitted);
    made.on("data", typed);
    return {
        reset: () => made.reset(),
        focus: () => made.focus(),
        paste: (text) => typed(text.replace(/\r?\n/g, "\r")),
        selected: () => made.getSelection(),
        find: (text, back) => find(made._core, text, back),
        keys: (handler) => made.attachCustomKeyEventHandler(handler),
        // done: called when all is on the screen that was written so far
        write: (text, done) => {
            made.write(text);
            const looked = () => (made._core.writeBuffer.length ? setTimeout(looked, LOOK) : done());
            looked();
        },
    };
}
