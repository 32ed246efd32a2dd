import { beforeAll, describe, expect, test } from 'vitest'

test('passes', () => {})
test('fails', () => expect(1).toBe(2))
test.skip('is skipped', () => {})

describe('a hook that fails', () => {
  beforeAll(() => {
    throw new Error('from the hook')
  })
  test('never runs', () => {})
})
