// Finds what a person would mean by a name: `what` is "control" (something to click), "field" (something to fill in) or
// "within" (the smallest part of the page that shows a text and holds a control). Gives the element or null.
const [what, name, scope] = arguments;
const plain = (text) => (text || '').replace(/\s+/g, ' ').trim();
const wanted = plain(name);
const shown = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
const labelled = (element) =>
  plain((element.getAttribute('aria-labelledby') || '').split(' ').map((id) => document.getElementById(id)?.innerText).join(' '));
const best = (elements, names) => {
  const visible = [...elements].filter(shown);
  return (
    visible.find((element) => names(element).some((text) => plain(text) === wanted)) ||
    visible.find((element) => names(element).some((text) => plain(text).startsWith(wanted))) ||
    visible.find((element) => names(element).some((text) => plain(text).includes(wanted))) ||
    null
  );
};
// A dialog that is open covers the page.
const root = scope || document.querySelector('dialog[open]') || document.body;
const controls = 'a[href], button, summary, input[type=submit], input[type=button], [role=button], [role=tab]';
const fields = 'input:not([type=hidden]):not([type=submit]), select, textarea';
if (what === 'control') {
  return best(root.querySelectorAll(controls), (element) => [
    element.getAttribute('aria-label'), labelled(element), element.innerText, element.value, element.title,
  ]);
}
if (what === 'field') {
  return best(root.querySelectorAll(fields), (element) => [
    ...[...(element.labels || [])].map((label) => label.innerText),
    element.getAttribute('aria-label'), labelled(element), element.placeholder, element.name,
  ]);
}
const parts = [...root.querySelectorAll('*')].filter((element) => plain(element.innerText).includes(wanted));
parts.reverse();
return parts.find((element) => element.querySelector(controls)) || null;
