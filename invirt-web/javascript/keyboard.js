// Text as the keys of a US keyboard: a screen takes keys alone, and its guest says what they mean.
const PLAIN = "`1234567890-=[]\\;',./ ";
const SHIFTED = '~!@#$%^&*()_+{}|:"<>?';
const KEYS = [
    "Backquote",
    ..."1234567890".split("").map((digit) => `Digit${digit}`),
    ..."Minus Equal BracketLeft BracketRight Backslash Semicolon Quote Comma Period Slash Space".split(" "),
];
const NAMED = { "\n": ["Enter", 0xff0d], "\t": ["Tab", 0xff09] };
export const SHIFT = ["ShiftLeft", 0xffe1];
// Keys that have buttons.
export const PRESSED = {
    Escape: 0xff1b,
    Tab: 0xff09,
    Enter: 0xff0d,
    ArrowUp: 0xff52,
    ArrowDown: 0xff54,
    F2: 0xffbf,
    F12: 0xffc9,
};

// The key of a letter: its code, its keysym, and whether with shift; nothing where there is none.
export function key(letter) {
    if (letter in NAMED) {
        return [...NAMED[letter], false];
    }
    const keysym = letter.charCodeAt(0);
    if (/^[a-z]$/i.test(letter)) {
        return [`Key${letter.toUpperCase()}`, keysym, letter !== letter.toLowerCase()];
    }
    for (const [row, shift] of [
        [PLAIN, false],
        [SHIFTED, true],
    ]) {
        if (row.includes(letter)) {
            return [KEYS[row.indexOf(letter)], keysym, shift];
        }
    }
    return undefined;
}
