import { test } from 'vitest'

test('does not end in time', () => new Promise(() => {}), 10)
