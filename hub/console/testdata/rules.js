(() => {
  const faults = [];
  const fault = (rule, node) => faults.push(rule + ": " + (node ? node.outerHTML.slice(0, 160) : ""));
  const all = (query) => [...document.querySelectorAll(query)];
  const shown = (node) => node.checkVisibility && node.checkVisibility();
  const named = (node) => (node.getAttribute("aria-label") || node.textContent || node.value || "").trim();
  if (!document.documentElement.lang) fault("html has no language");
  if (!document.title) fault("no title");
  if (all("main").length !== 1) fault("not exactly one main");
  if (all("h1").length !== 1) fault("not exactly one h1");
  let level = 0;
  for (const h of all("h1,h2,h3,h4,h5,h6")) {
    const n = +h.tagName[1];
    if (n > level + 1) fault("a heading leaves out a level", h);
    level = n;
    if (!named(h)) fault("an empty heading", h);
  }
  for (const n of all("input:not([type=hidden]),select,textarea"))
    if (!n.labels || !n.labels.length || !named(n.labels[0])) fault("a field without a label", n);
  for (const n of all("button,a,summary")) if (!named(n)) fault("nothing to read on it", n);
  for (const n of all("a")) if (!n.getAttribute("href")) fault("a link to nowhere", n);
  for (const n of all("svg,meter")) if (!n.getAttribute("aria-label")) fault("a picture without a text", n);
  for (const n of all("nav,section,[role=navigation]"))
    if (!n.getAttribute("aria-label") && !n.getAttribute("aria-labelledby") && n.tagName === "NAV")
      fault("a landmark without a name", n);
  for (const n of all("table")) {
    if (!n.caption) fault("a table without a caption", n);
    for (const th of n.querySelectorAll("th")) if (!th.scope) fault("a head without a scope", th);
  }
  for (const n of all("[tabindex]")) if (+n.getAttribute("tabindex") > 0) fault("a positive tabindex", n);
  for (const n of all("[style],[onclick],style,script:not([src])")) fault("inline style or script", n);
  const ids = all("[id]").map((n) => n.id);
  for (const i of ids) if (ids.indexOf(i) !== ids.lastIndexOf(i)) fault("an id twice: " + i);
  for (const n of all("dl > *")) if (!["DT", "DD", "DIV"].includes(n.tagName)) fault("a stranger in a list", n);
  for (const n of all("ul > *,ol > *")) if (n.tagName !== "LI") fault("a stranger in a list", n);

  const parse = (text) => {
    const m = text.match(/[\d.]+/g).map(Number);
    return { rgb: m.slice(0, 3), a: m.length > 3 ? m[3] : 1 };
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.a === 1) return c.rgb;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(node) || !shown(node) || node.closest(".hidden,.skip,option,script,noscript,meter"))
      continue;
    seen.add(node);
    const style = getComputedStyle(node);
    const inSVG = !!node.closest("svg");
    const ink = parse(inSVG ? style.fill : style.color).rgb;
    let back = behind(inSVG ? node.closest("figure") || node : node);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    if (contrast < (large ? 3 : 4.5)) fault("contrast " + contrast.toFixed(2), node);
  }
  return faults;
})()
