<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 26">
<title>${plot.told if plot else "Nothing is known of the last day."}</title>
<svg width="${78 if now else 120}" height="26" viewBox="0 -2 ${WIDE} ${HIGH + 4}" preserveAspectRatio="none">
<g fill="none" stroke="#4a7fcb" stroke-width="2">
<path d="M0 ${HIGH}H${WIDE}" opacity=".4" vector-effect="non-scaling-stroke"/>
% if plot:
<path d="${plot.curves[0].path}" vector-effect="non-scaling-stroke"/>
% endif
</g>
</svg>
% if now:
<text x="120" y="18" text-anchor="end" font-family="sans-serif" font-size="13" fill="#4a7fcb">${now} %</text>
% endif
</svg>
