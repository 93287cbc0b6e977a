// A console's or a screen's stream: opened with a pass of its own each time, and again when it is cut.
const LEFT = 1000; // why it is closed: its user has left, or may not any more, see invirt.web.streams.machine
const MAY_NOT = 4403;
const REFUSED = [401, 403, 404]; // of HTTP: it is not asked again
const CUT = "The connection was cut; it is tried again.";
const SOONEST = 1000; // milliseconds until it is tried again
const LATEST = 10000;

async function open(path) {
    const given = await fetch(`${path}/pass`, { cache: "no-store" });
    const text = (await given.text()).trim();
    if (!given.ok) {
        throw { words: given.status < 500 ? text : CUT, ended: REFUSED.includes(given.status) };
    }
    return new WebSocket(`wss://${location.host}${path}?pass=${text}`);
}

// page: tell(words, state); opened(socket, good), which calls good once all is well.
// leaves: whether a socket that is closed in order was left by its user.
export function keep(path, page, leaves) {
    const button = document.getElementById("again");
    let pause = SOONEST;

    function later(words) {
        page.tell(words, "cut");
        setTimeout(connect, pause);
        pause = Math.min(2 * pause, LATEST);
    }

    async function connect() {
        let socket;
        button.hidden = true;
        try {
            socket = await open(path);
        } catch (error) {
            if (error.ended) {
                page.tell(error.words, "ended");
                button.hidden = false;
            } else {
                later(error.words || CUT);
            }
            return;
        }
        socket.binaryType = "arraybuffer";
        socket.addEventListener("close", (event) => {
            page.closed?.();
            if (event.code === MAY_NOT || (leaves && event.code === LEFT)) {
                button.hidden = false;
            } else {
                later(CUT);
            }
        });
        page.opened(socket, () => {
            pause = SOONEST;
        });
    }

    button.addEventListener("click", connect);
    connect();
}
