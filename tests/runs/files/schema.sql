create table answers (word text);
insert into answers values ('served');
