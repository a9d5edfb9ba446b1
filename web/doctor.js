// The page at <mount>/doctor: runs diagnose against the hub that serves it, and
// shows what it says. All that comes from elsewhere is put in as text.

import { CHECKS, diagnose } from './diagnose.js';

const WORDS = {
  en: {
    title: 'Connection check',
    run: 'Run again',
    copy: 'Copy report (JSON)',
    copied: 'Copied.',
    copyFailed: 'The browser does not let this page copy.',
    useToken: 'Test with a token',
    token: 'Token',
    test: 'Test',
    tokenNote: 'It goes to this server only, is not kept, and is not part of the report.',
    checks: 'Checks',
    privacy: "The report holds this page's address, your browser's name and what is shown above. It stays here unless you copy it.",
    running: 'Testing the ways to the server…',
    progress: 'Checks done',
    failed: 'The test itself failed: ',
    when: 'Tested ',
    change: 'What to change: ',
    states: { wait: 'Waiting', pass: 'Fine', warn: 'Could be better', fail: 'Problem', skip: 'Not tested' },
    names: {
      page: ['Page', 'browsers let this page ask the server'],
      reach: ['Server', 'it answers, and nothing else in its place'],
      origin: ['Origin', 'the server takes requests of this page'],
      identity: ['Identity', 'the server knows who you are'],
      websocket: ['WebSocket', 'the upgrade gets through'],
      websocket_latency: ['WebSocket latency', 'there and back, median of three'],
      sse: ['Server-sent events', 'the stream comes when it is sent'],
      sse_latency: ['Stream latency', 'until the server says welcome'],
      poll: ['Long-poll', 'requests that wait are answered in time'],
      post: ['POST', 'how streams and polls send'],
      headers: ['Headers', 'nothing on the way changes or caches answers'],
      clock: ['Clock', 'this device and the server agree on the time'],
    },
  },
  zh: {
    title: '连接检测',
    run: '重新检测',
    copy: '复制报告（JSON）',
    copied: '已复制。',
    copyFailed: '浏览器不允许此页面复制。',
    useToken: '使用令牌检测',
    token: '令牌',
    test: '检测',
    tokenNote: '令牌只会发给本服务器，不会保存，也不会写入报告。',
    checks: '检测项目',
    privacy: '报告包含本页地址、浏览器标识和以上内容；除非你复制，否则不会离开此页面。',
    running: '正在检测到服务器的各条线路…',
    progress: '已完成的检测',
    failed: '检测本身出错：',
    when: '检测时间：',
    change: '如何修改：',
    states: { wait: '等待中', pass: '正常', warn: '可改进', fail: '有问题', skip: '未检测' },
    names: {
      page: ['页面', '浏览器允许此页面访问服务器'],
      reach: ['服务器', '能应答，且没有被别的东西代答'],
      origin: ['来源', '服务器接受此页面的请求'],
      identity: ['身份', '服务器知道你是谁'],
      websocket: ['WebSocket', '升级请求能够通过'],
      websocket_latency: ['WebSocket 延迟', '往返时间，三次取中位数'],
      sse: ['服务器推送（SSE）', '事件流即发即到'],
      sse_latency: ['事件流延迟', '到收到服务器的 welcome 为止'],
      poll: ['长轮询', '等待中的请求按时得到答复'],
      post: ['POST', '事件流和轮询用它来发送'],
      headers: ['响应头', '途中没有被改写或缓存'],
      clock: ['时钟', '本机与服务器时间一致'],
    },
  },
};

const LANGUAGE = 'im.doctor.language'; // in the storage of the page

const $ = (id) => document.getElementById(id);

/** An element with a class and a text. */
function element(tag, className, text) {
  const e = document.createElement(tag);
  e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

class Page {
  #mount = location.pathname.replace(/\/doctor\/?$/, '') || '/';
  #language = preferred();
  #report = null;
  #failure = '';
  #done = new Map(); // checks by name, while they come
  #running = false;

  constructor() {
    $('mount').textContent = new URL(this.#mount, location.origin).href;
    $('run').addEventListener('click', () => this.run());
    $('copy').addEventListener('click', () => this.#copy());
    $('form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.run();
    });
    for (const button of document.querySelectorAll('[data-language]')) {
      button.addEventListener('click', () => this.#speak(button.dataset.language));
    }
    $('checks').replaceChildren(...CHECKS.map((name) => Object.assign(element('li', 'check'), { id: `check-${name}` })));
    this.#show();
  }

  get #words() {
    return WORDS[this.#language];
  }

  #speak(language) {
    this.#language = language;
    try {
      localStorage.setItem(LANGUAGE, language);
    } catch {
      // then for this visit only
    }
    this.#show();
  }

  async run() {
    if (this.#running) return;
    this.#running = true;
    this.#report = null;
    this.#failure = '';
    this.#done.clear();
    this.#show();
    try {
      this.#report = await diagnose(this.#mount, {
        token: $('token').value.trim(),
        onresult: (check) => {
          this.#done.set(check.name, check);
          this.#showCheck(check.name);
          this.#showProgress();
        },
      });
    } catch (error) {
      this.#failure = String(error?.message ?? error);
    }
    this.#running = false;
    if (this.#done.get('identity')?.state === 'fail') $('identity').open = true;
    this.#show();
  }

  async #copy() {
    const done = await copyText(JSON.stringify(this.#report, null, 2));
    $('copied').textContent = done ? this.#words.copied : this.#words.copyFailed;
  }

  // -------------------------------------------------------------- showing

  #show() {
    const words = this.#words;
    document.documentElement.lang = this.#language === 'zh' ? 'zh-CN' : 'en';
    document.title = words.title;
    for (const e of document.querySelectorAll('[data-text]')) e.textContent = words[e.dataset.text];
    for (const e of document.querySelectorAll('[data-language]')) e.setAttribute('aria-pressed', e.dataset.language === this.#language);
    $('progress').setAttribute('aria-label', words.progress);
    $('copied').textContent = '';
    $('copy').disabled = !this.#report;
    // Not disabled, which would take the focus away.
    $('run').setAttribute('aria-disabled', this.#running);
    $('checks').setAttribute('aria-busy', this.#running);
    this.#showSummary();
    this.#showProgress();
    CHECKS.forEach((name) => this.#showCheck(name));
  }

  #showSummary() {
    const words = this.#words;
    const summary = this.#report?.summary;
    $('summary').dataset.quality = summary?.quality ?? (this.#failure ? 'none' : 'running');
    const text = summary?.[this.#language] ?? (this.#failure ? words.failed + this.#failure : words.running);
    if ($('sentence').textContent !== text) $('sentence').textContent = text;
    const when = this.#report && new Date(this.#report.when).toLocaleString(document.documentElement.lang);
    $('when').textContent = when ? words.when + when : '';
  }

  #showProgress() {
    $('progress').value = this.#done.size / CHECKS.length;
  }

  #showCheck(name) {
    const words = this.#words;
    const [title, meaning] = words.names[name];
    const check = this.#done.get(name);
    const state = check?.state ?? 'wait';
    const row = $(`check-${name}`);
    row.dataset.state = state;

    const head = element('div', 'head');
    const mark = element('span', 'mark');
    mark.setAttribute('aria-hidden', 'true');
    const label = element('div', 'label');
    label.append(element('h3', '', title), element('p', 'meaning', meaning));
    head.append(mark, label);
    if (check?.ms != null) head.append(element('span', 'time', `${check.ms} ms`));
    head.append(element('span', 'state', words.states[state]));
    row.replaceChildren(head);

    if (check?.advice) {
      const advice = element('p', 'advice');
      advice.append(element('strong', '', words.change), check.advice[this.#language]);
      row.append(advice);
    }
    if (check?.code && check.code !== 'skipped') { // of what is well the report alone holds the details
      const detail = element('p', 'detail', [check.code, check.detail].filter(Boolean).join(' · '));
      detail.lang = 'en';
      row.append(detail);
    }
  }
}

/** 'zh' or 'en': what was chosen here before, or the browser's first of them. */
function preferred() {
  try {
    const chosen = localStorage.getItem(LANGUAGE);
    if (Object.hasOwn(WORDS, chosen)) return chosen;
  } catch {
    // no storage
  }
  const languages = navigator.languages?.length ? navigator.languages : [navigator.language ?? ''];
  return languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => Object.hasOwn(WORDS, tag)) ?? 'en';
}

/** Copies a text, also where the page is not secure; tells whether that worked. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    const area = element('textarea', 'copying');
    area.value = text;
    area.readOnly = true;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    before?.focus();
    return done;
  }
}

new Page().run();
