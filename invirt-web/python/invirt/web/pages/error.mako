<%inherit file="frame.mako"/>
<%block name="title">That didn't work</%block>
<h1>That didn't work</h1>
${self.refusal(error)}
% if again:
<p class="note">This page tries again by itself.</p>
% endif
<p><a href="/">My machines</a></p>
