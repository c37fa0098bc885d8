// Finds images by words and by packages: `numpy>=2 geo`, `deb:git`, `r:ggplot2`. The same answers as `hubstack where`.
"use strict";
(() => {
  const MANAGERS = {
    python: "python", py: "python", pip: "python", pypi: "python",
    deb: "debian", debian: "debian", apt: "debian", r: "r", cran: "r", npm: "npm",
  };
  const TERM = /^(?:([a-z]+):)?([^\s<>=!~]+)([<>=!~].*)?$/i;
  const CLAUSE = /^(===|==|!=|~=|<=|>=|<|>)([a-z0-9].*)$/i;
  const MOST = 6; // packages that a card shows

  // --- versions: negative, 0 or positive, as sort() wants it ---

  const compare = (a, b) => {
    if (Array.isArray(a) && Array.isArray(b)) {
      for (let i = 0; i < Math.min(a.length, b.length); i++) {
        const one = compare(a[i], b[i]);
        if (one) return one;
      }
      return a.length - b.length;
    }
    return a < b ? -1 : a > b ? 1 : 0;
  };

  const PEP440 = new RegExp(
    "^v?(?:(\\d+)!)?(\\d+(?:\\.\\d+)*)(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\\d*))?" +
      "(?:-(\\d+)|[-_.]?(post|rev|r)[-_.]?(\\d*))?(?:[-_.]?(dev)[-_.]?(\\d*))?(?:\\+(.*))?$", "i");

  const python = (text) => {
    const m = PEP440.exec(text.trim());
    if (!m) return null;
    const release = m[2].split(".").map(Number);
    const pre = m[3] && ({a: 1, b: 2}[m[3][0].toLowerCase()] || 3);
    const post = m[5] !== undefined || m[6] !== undefined ? Number(m[5] || m[7] || 0) : -1;
    const trimmed = release.slice();
    while (trimmed.length > 1 && trimmed[trimmed.length - 1] === 0) trimmed.pop();
    const early = pre ? [pre, Number(m[4] || 0)] : m[8] && post < 0 ? [0, 0] : [4, 0];
    const dev = m[8] ? Number(m[9] || 0) : Infinity;
    return {
      epoch: Number(m[1] || 0), release, local: m[10] || "", pre: Boolean(pre || m[8]), post: post >= 0,
      key: [Number(m[1] || 0), trimmed, early, post, dev], base: [Number(m[1] || 0), trimmed],
    };
  };

  const startsWith = (version, wanted) =>
    version.epoch === wanted.epoch && wanted.release.every((part, i) => (version.release[i] || 0) === part);

  const holdsPython = (operator, than, text) => {
    if (operator === "===") return text === than;
    const version = python(text);
    const prefix = /^(.*)\.\*$/.exec(than);
    const wanted = python(prefix ? prefix[1] : than);
    if (!version || !wanted) return false;
    const order = compare(version.key, wanted.key);
    if (prefix) return (operator === "==" && startsWith(version, wanted)) || (operator === "!=" && !startsWith(version, wanted));
    const same = order === 0 && (!wanted.local || wanted.local === version.local);
    switch (operator) {
      case "==": return same;
      case "!=": return !same;
      case ">=": return order >= 0;
      case "<=": return order <= 0;
      case "<": return order < 0 && !(version.pre && !wanted.pre && compare(version.base, wanted.base) === 0);
      case ">": return order > 0 && !(version.post && !wanted.post && compare(version.base, wanted.base) === 0);
      default: return wanted.release.length > 1 && order >= 0 && // ~=
        startsWith(version, {epoch: wanted.epoch, release: wanted.release.slice(0, -1)});
    }
  };

  const numbers = (text) => text.split(/[.-]/).map((part) => (/^\d+$/.test(part) ? [1, Number(part), ""] : [0, 0, part]));

  const npm = (text) => {
    const [, release, before] = /^([^+-]*)-?([^+]*)/.exec(text);
    const words = before.split(".").map((word) => (/^\d+$/.test(word) ? [0, Number(word), ""] : [1, 0, word]));
    return [numbers(release), before ? [[0], ...words] : [[1]]];
  };

  const debianPart = (text) => {
    const weigh = (one) => (one === "~" ? -1 : /[a-z]/i.test(one) ? one.codePointAt(0) : one.codePointAt(0) + 256);
    return [...text.matchAll(/([^0-9]*)([0-9]*)/g)].flatMap((m) => [[...[...m[1]].map(weigh), 0], Number(m[2] || 0)]);
  };

  const debian = (text) => {
    const colon = text.lastIndexOf(":");
    const rest = text.slice(colon + 1);
    const hyphen = rest.lastIndexOf("-");
    const [upstream, revision] = hyphen < 0 ? [rest, ""] : [rest.slice(0, hyphen), rest.slice(hyphen + 1)];
    return [Number(text.slice(0, Math.max(colon, 0)) || 0), debianPart(upstream), debianPart(revision)];
  };

  const holds = (manager, operator, than, version) => {
    if (manager === "python") return holdsPython(operator, than, version);
    if (operator === "===" || operator === "~=" || than.endsWith("*")) return false;
    const key = {debian, npm}[manager] || numbers;
    const order = compare(key(version), key(than));
    return {"==": order === 0, "!=": order !== 0, "<=": order <= 0, ">=": order >= 0, "<": order < 0, ">": order > 0}[operator];
  };

  // --- names ---

  const canonical = (manager, name) => (manager === "python" ? name.replace(/[-_.]+/g, "-") : name).toLowerCase();

  const glob = (text) =>
    new RegExp(`^${text.replace(/[.+^${}()|\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".")}$`, "s");

  // --- the page ---

  const packages = JSON.parse(document.getElementById("packages").textContent);
  const cards = [...document.querySelectorAll(".card")];
  const form = document.getElementById("search");
  const input = document.getElementById("q");
  const found = document.getElementById("found");

  const parse = (text) =>
    text.replace(/≥/g, ">=").replace(/≤/g, "<=").replace(/\s*([<>=!~]=?=?|,)\s*/g, "$1").split(/\s+/).filter(Boolean);

  // What one word of the question means: for each image the packages that answer it; null where it is no question.
  const answer = (word) => {
    const m = TERM.exec(word);
    const manager = m && m[1] && MANAGERS[m[1].toLowerCase()];
    const clauses = m && m[3] && m[3].split(",").filter(Boolean).map((part) => CLAUSE.exec(part));
    if (!m || (m[1] && !manager) || (clauses && !clauses.every(Boolean))) return null;
    const hits = cards.map(() => []);
    for (const [of, name, versions] of packages) {
      if (manager && manager !== of) continue;
      const known = canonical(of, name);
      const names = [m[2], ...(of === "r" && !manager && /^r-/i.test(m[2]) ? [m[2].slice(2)] : [])];
      const exact = names.some((one) => glob(canonical(of, one)).test(known));
      const near = !clauses && !manager && known.includes(canonical(of, m[2]));
      if (!exact && !near) continue;
      for (const [version, images] of versions) {
        if (clauses && !clauses.every((clause) => holds(of, clause[1], clause[2], version))) continue;
        for (const image of images) hits[image].push({of, name, version, exact});
      }
    }
    return {hits, text: clauses || manager ? "" : word.toLowerCase()};
  };

  const texts = cards.map((card) => card.textContent.toLowerCase());

  const show = (card, hits) => {
    const list = card.querySelector(".hits");
    list.replaceChildren();
    hits.sort((a, b) => b.exact - a.exact);
    const some = hits.some((hit) => hit.exact) ? hits.filter((hit) => hit.exact) : hits;
    for (const hit of some.slice(0, MOST)) {
      const item = document.createElement("li");
      item.append(`${hit.name} `);
      const version = document.createElement("b");
      version.textContent = hit.version;
      item.append(version);
      list.append(item);
    }
    if (some.length > MOST) {
      const more = document.createElement("li");
      more.textContent = `and ${some.length - MOST} more`;
      list.append(more);
    }
    list.hidden = some.length === 0;
  };

  const search = () => {
    const words = parse(input.value);
    const answers = words.map(answer);
    const wrong = words.filter((_, i) => answers[i] === null);
    let count = 0;
    cards.forEach((card, number) => {
      const said = (one) => one === null || one.hits[number].length > 0 || (one.text && texts[number].includes(one.text));
      card.hidden = !answers.every(said);
      count += card.hidden ? 0 : 1;
      show(card, answers.flatMap((one) => (one ? one.hits[number] : [])));
    });
    found.textContent = wrong.length
      ? `${wrong.join(" ")} is no question: write name, name>=1.2, or deb:name.`
      : words.length ? `${count} of ${cards.length} images` : "";
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", search);
  input.value = new URLSearchParams(location.hash.slice(1)).get("q") || input.value; // #q=numpy, or what a reload kept
  search();
})();
