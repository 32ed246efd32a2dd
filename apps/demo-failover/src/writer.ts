/** Writes keys and remembers what was acknowledged, and nothing else. */
import type { MemberClient } from '@coracle/kv-server/client'

export interface Writer {
  /** What the cluster has acknowledged: the promise it must keep. */
  readonly acknowledged: ReadonlyMap<string, string>
  /** Puts that were answered with an error, and then tried again. */
  readonly retries: number
  /**
   * Puts the key, through one member after the other, until one acknowledges it. Doing it twice is
   * harmless: the value is the same. Rejects with the last error when the time is up.
   */
  put(key: string, value: string): Promise<void>
}

const TRY_MS = 1_000
const GIVE_UP_MS = 15_000

export function createWriter(clients: readonly MemberClient[]): Writer {
  const acknowledged = new Map<string, string>()
  let retries = 0
  let turn = 0
  return {
    acknowledged,
    get retries() {
      return retries
    },
    async put(key, value) {
      const giveUp = performance.now() + GIVE_UP_MS
      for (;;) {
        const client = clients[turn++ % clients.length] as MemberClient
        try {
          await client.put(key, value, { timeoutMs: TRY_MS })
          acknowledged.set(key, value)
          return
        } catch (error) {
          if (performance.now() > giveUp)
            throw new Error(`no member acknowledged ${key} within ${GIVE_UP_MS / 1000} s`, {
              cause: error,
            })
          retries += 1
        }
      }
    },
  }
}

/** Runs `work` for 0 to `count - 1`, so many at a time. */
export async function concurrently(
  count: number,
  atATime: number,
  work: (i: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atATime }, worker))
}
