/** Waiting that ends when the line breaks, whatever else hangs. */

/** Settles as `work` does, or rejects with the signal's reason as soon as it aborts. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort)
    if (signal.aborted) onAbort()
    const settle = (): void => signal.removeEventListener('abort', onAbort)
    work.then(resolve, reject).then(settle, settle)
  })
}

/** What the source gives, until it ends, or fails, or the signal aborts: then reading fails. */
export async function* readUntilAborted(
  source: AsyncIterator<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (;;) {
    signal.throwIfAborted()
    const next = await untilAborted(source.next(), signal)
    if (next.done === true) return
    yield next.value
  }
}
