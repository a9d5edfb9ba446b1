/** In the page: notes in window.flown what is on the overlay, and since when. */
export function watchOverlay() {
  window.flown = new Map();
  const root = document.querySelector('danmaku-layer').shadowRoot;
  new MutationObserver(() => {
    for (const label of root.querySelectorAll('.flying > span')) {
      if (!window.flown.has(label.textContent)) window.flown.set(label.textContent, performance.timeOrigin + performance.now());
    }
  }).observe(root, { subtree: true, childList: true, characterData: true, attributeFilter: ['class'] });
}
