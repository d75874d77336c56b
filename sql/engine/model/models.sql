-- The models that are asked, in their order, with prices in USD per million tokens in and out.

select maintenance.set_model('gemini-3.5-flash-lite', 1, 0.10, 0.40);
select maintenance.set_model('gemini-3.1-flash-lite', 2, 0.10, 0.40);
select maintenance.set_model('gemini-2.5-flash-lite', 3, 0.10, 0.40);
