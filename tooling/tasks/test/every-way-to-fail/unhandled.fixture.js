import { test } from 'vitest'

test('passes, and leaves a rejection behind', () => {
  Promise.reject(new Error('that nobody handles'))
})
