/** A server on which authentication is enabled, and those who call it. */
import type { EtcdServerOptions } from '../src/index.ts'
import { type Harness, type RawClient, startHarness, text } from './harness.ts'

export const FAST = { bcryptCost: 4 } as const

/** What a client got: an answer, or the code and text of a refusal. */
export type Outcome = 'answered' | { readonly code: number; readonly details: string }

export interface Guarded extends Harness {
  /** Of `root`, and of `ann`, who may read and write `k` to `l`, read `r` and write `w`. */
  readonly tokens: { readonly root: string; readonly ann: string }
  /** As root. */
  manage(method: string, request?: object): Promise<Record<string, unknown>>
}

export async function startGuarded(options: Partial<EtcdServerOptions> = {}): Promise<Guarded> {
  const harness = await startHarness({ auth: FAST, ...options })
  await enable(harness.client)
  const root = await tokenOf(harness.client, 'root')
  const ann = await tokenOf(harness.client, 'ann')
  return {
    ...harness,
    tokens: { root, ann },
    manage: async (method, request = {}) =>
      harness.client.call(method, request, {
        metadata: { token: await tokenOf(harness.client, 'root') },
      }),
  }
}

/** Names are passwords. */
export async function enable(client: RawClient): Promise<void> {
  for (const name of ['root', 'ann']) {
    await client.call('Auth/UserAdd', { name, password: name })
    await client.call('Auth/RoleAdd', { name })
    await client.call('Auth/UserGrantRole', { user: name, role: name })
  }
  const granted = [
    { permType: 2, key: text('k'), range_end: text('l') },
    { permType: 0, key: text('r') },
    { permType: 1, key: text('w') },
  ]
  for (const perm of granted) await client.call('Auth/RoleGrantPermission', { name: 'ann', perm })
  await client.call('Auth/AuthEnable')
}

export async function tokenOf(
  client: RawClient,
  name: string,
  password: string = name,
): Promise<string> {
  const { token } = await client.call('Auth/Authenticate', { name, password })
  return token as string
}

export async function outcomeOf(asked: Promise<unknown>): Promise<Outcome> {
  try {
    await asked
    return 'answered'
  } catch (error) {
    return refusalIn(error)
  }
}

export function refusalIn(error: unknown): Outcome {
  const { code, details } = error as { readonly code: number; readonly details: string }
  return { code, details }
}
