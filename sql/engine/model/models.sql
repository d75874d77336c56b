-- The models that are asked, in their order, with what a million tokens cost in USD: in, out, and
-- in of the cache. Limits are those of an account, and nobody's here.

select maintenance.set_model('gemini-3.5-flash-lite', 1, 0.30, 2.50, 0.03, '2026-11-22');
select maintenance.set_model('gemini-3.1-flash-lite', 2, 0.25, 1.50, 0.025, '2026-11-22');
select maintenance.set_model('gemini-2.5-flash-lite', 3, 0.10, 0.40, 0.01, '2026-11-22');
