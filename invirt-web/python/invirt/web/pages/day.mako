<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -2 ${WIDE} ${HIGH + 4}" preserveAspectRatio="none">
<title>${plot.told if plot else "Nothing is known of the last day."}</title>
<g fill="none" stroke="#4a7fcb" stroke-width="2">
<path d="M0 ${HIGH}H${WIDE}" opacity=".4" vector-effect="non-scaling-stroke"/>
% if plot:
<path d="${plot.curves[0].path}" vector-effect="non-scaling-stroke"/>
% endif
</g>
</svg>
