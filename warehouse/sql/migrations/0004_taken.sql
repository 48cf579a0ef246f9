-- Taken by another change, whose 0004 replaces this file.
select 1;
