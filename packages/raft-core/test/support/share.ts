import * as fc from 'fast-check'

/**
 * How far along something: from 0 to less than 1. Not `fc.double`, whose numbers are nearly all so
 * close to 0 that every place would be the first.
 */
export const share: fc.Arbitrary<number> = fc.nat({ max: 999 }).map((part) => part / 1000)
