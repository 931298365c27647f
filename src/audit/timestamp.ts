/** The clock of the process may be set while the finer one of `performance` runs on; beyond this they are brought together. */
const APART_MS_MAX = 5

let second = -1
let secondText = ''
let originMs = performance.timeOrigin

/** Now in RFC 3339 with microseconds, 27 characters. The part down to the second is made once a second. */
export function timestamp(): string {
  const nowMs = originMs + performance.now()
  const nowSecond = Math.floor(nowMs / 1_000)
  if (nowSecond !== second) {
    const apartMs = Date.now() - nowMs
    if (Math.abs(apartMs) > APART_MS_MAX) {
      originMs += apartMs
      return timestamp()
    }
    second = nowSecond
    secondText = new Date(nowSecond * 1_000).toISOString().slice(0, 19)
  }
  const micros = Math.floor((nowMs - nowSecond * 1_000) * 1_000)
  return `${secondText}.${String(micros).padStart(6, '0')}Z`
}
