import type { MemberClient } from '@coracle/kv-server/client'
import { expect, test } from 'vitest'
import { concurrently, createWriter } from '../src/writer.ts'

function member(put: (key: string) => Promise<number>): MemberClient {
  return { put } as unknown as MemberClient
}

test('only what a member acknowledged is counted', async () => {
  const refused = Promise.reject(new Error('no leader'))
  refused.catch(() => {})
  let isDown = true
  const tried: string[] = []
  const first = member((key) => {
    tried.push(key)
    return isDown ? refused : Promise.resolve(2)
  })
  const second = member(() => {
    isDown = false
    expect(writer.acknowledged.size).toBe(0)
    return refused
  })
  const writer = createWriter([first, second])
  await writer.put('a', '1')
  expect([...writer.acknowledged]).toEqual([['a', '1']])
  expect(tried).toEqual(['a', 'a'])
  expect(writer.retries).toBe(2)
})

test('every piece of work is done once, and no more of them at a time than asked for', async () => {
  let running = 0
  let most = 0
  const done: number[] = []
  await concurrently(20, 3, async (i) => {
    running += 1
    most = Math.max(most, running)
    await new Promise((resolve) => setImmediate(resolve))
    running -= 1
    done.push(i)
  })
  expect(most).toBe(3)
  expect(done.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i))
})
