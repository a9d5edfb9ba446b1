// The words of the page, in the language of the browser.

const english = {
  player: 'Player',
  fullscreen: 'Full screen',
  chat: 'Chat',
  danmaku: 'Danmaku',
  danmakuOn: 'Danmaku on',
  danmakuOff: 'Danmaku off',
  kind: 'Send as',
  color: 'Colour',
  send: 'Send',
  save: 'Save',
  cancel: 'Cancel',
  rename: 'Your name in this room',
  sayDanmaku: 'Let it fly…',
  sayChat: 'Say something…',
  connecting: 'Connecting',
  joined: 'Connected',
  waiting: (seconds) => (seconds > 1 ? `Reconnecting in ${seconds} s` : 'Reconnecting'),
  stopped: 'Disconnected',
  stoppedBecause: (reason) => `Disconnected: ${reason}`,
  title: (room) => `Room ${room}`,
  newer: (n) => (n === 1 ? '1 new message' : `${n} new messages`),
  missed: (n) => (n === 1 ? '1 danmaku was skipped' : `${n} danmaku were skipped`),
  renewed: 'You were away for a while; this is the newest',
  resumed: 'Back again, nothing was lost',
  tooFast: (seconds) => `Too fast. Try again in ${seconds} s.`,
  overloaded: 'The room is very busy. Try again in a moment.',
  timeout: 'No answer. Your message may not have arrived.',
  rate: 'Danmaku per second',
  mergedCount: 'Merged repeats',
  skippedCount: 'Skipped for you',
  latency: 'Round trip',
  held: 'Your message waits for a moderator.',
};

const chinese = {
  player: '播放器',
  fullscreen: '全屏',
  chat: '聊天',
  danmaku: '弹幕',
  danmakuOn: '弹幕开',
  danmakuOff: '弹幕关',
  kind: '发送类型',
  color: '颜色',
  send: '发送',
  save: '保存',
  cancel: '取消',
  rename: '你的昵称',
  sayDanmaku: '发条弹幕吧…',
  sayChat: '说点什么…',
  connecting: '连接中',
  joined: '已连接',
  waiting: (seconds) => (seconds > 1 ? `${seconds} 秒后重连` : '重连中'),
  stopped: '已断开',
  stoppedBecause: (reason) => `已断开：${reason}`,
  title: (room) => `直播间 ${room}`,
  newer: (n) => `${n} 条新消息`,
  missed: (n) => `跳过了 ${n} 条弹幕`,
  renewed: '离开得有点久，这里是最新消息',
  resumed: '已重新连接，消息没有丢失',
  tooFast: (seconds) => `发送太快，请 ${seconds} 秒后再试`,
  overloaded: '房间太火爆了，请稍后再试',
  timeout: '没有收到回应，消息可能没有送达',
  rate: '每秒弹幕',
  mergedCount: '合并重复',
  skippedCount: '跳过弹幕',
  latency: '往返延迟',
  held: '消息正在等待审核',
};

export const language = navigator.language.startsWith('zh') ? 'zh-CN' : 'en';
export const text = language === 'en' ? english : chinese;

/** Fills in the elements that name their words in data-i18n and data-i18n-label. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll('[data-i18n]')) element.textContent = text[element.dataset.i18n];
  for (const element of root.querySelectorAll('[data-i18n-label]')) {
    element.setAttribute('aria-label', text[element.dataset.i18nLabel]);
  }
}
