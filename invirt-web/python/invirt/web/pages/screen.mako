<%inherit file="frame.mako"/>
<%block name="title">Screen of ${machine.name}</%block>
<div class="head"><h1>Screen of ${machine.name}</h1><a class="button" href="/machines/${machine.name}">To ${machine.name}</a></div>
<noscript><p class="refusal" role="alert"><strong>A screen needs JavaScript.</strong></p></noscript>
<p class="note" role="status" id="how">Connecting.</p>
<div class="screen" id="screen" data-name="${machine.name}"></div>
<div class="search">
<button type="button" id="full">Full screen</button>
<button type="button" id="secure">Ctrl-Alt-Del</button>
% for code, words in (("Escape", "Esc"), ("Tab", "Tab"), ("Enter", "Enter"), ("ArrowUp", "Up"), ("ArrowDown", "Down"), ("F2", "F2"), ("F12", "F12")):
<button type="button" data-key="${code}">${words}</button>
% endfor
<button type="button" id="again" hidden>Connect</button>
</div>
<form class="search" id="typing">
<label class="unseen" for="text">Text to be typed at the screen</label>
<input id="text" placeholder="Text" autocomplete="off" autocapitalize="off" spellcheck="false">
<button>Type it</button>
<button type="button" id="paste">Paste</button>
</form>
<p class="note">Keys go to the machine while its screen has the focus: click or tap it. Text is typed as on a US keyboard, since a machine has no other way to take it here.</p>
